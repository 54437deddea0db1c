/** Bytes on their way into a process: split into frames, held back by the guest's credit, acknowledged by it. guest-link only. */
import type { Connection } from './connection.ts';
import { INPUT_WINDOW, T } from './wire.ts';

const PIECE = 32 << 10;

export interface Input {
  /** Resolves when the guest has given the bytes to the process. */
  write(data: Uint8Array): Promise<void>;
  /** End of input after everything written so far. */
  end(): void;
  /** The guest has taken `bytes` more. */
  granted(bytes: number): void;
  /** Nothing can be written any more: waiting and later writes reject. */
  fail(error: Error): void;
}

/** The input side of `stream`. */
export function createInput(connection: Connection, stream: number): Input {
  const queue: Uint8Array[] = [];
  let acks: { upTo: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  let written = 0;
  let sent = 0;
  let acked = 0;
  let ending = false;
  let failure: Error | null = null;

  const pump = () => {
    while (queue.length > 0 && sent - acked < INPUT_WINDOW) {
      const head = queue[0]!;
      const n = Math.min(head.length, PIECE, INPUT_WINDOW - (sent - acked));
      connection.send(stream, T.INPUT, head.subarray(0, n));
      sent += n;
      if (n === head.length) queue.shift();
      else queue[0] = head.subarray(n);
    }
    if (ending && queue.length === 0) {
      ending = false;
      connection.send(stream, T.INPUT_EOF);
    }
  };

  return {
    write: (data) => {
      if (failure) return Promise.reject(failure);
      if (data.length === 0) return Promise.resolve();
      queue.push(data);
      written += data.length;
      const upTo = written;
      const promise = new Promise<void>((resolve, reject) => {
        acks.push({ upTo, resolve, reject });
      });
      pump();
      return promise;
    },
    end: () => {
      ending = true;
      pump();
    },
    granted: (bytes) => {
      acked = Math.min(acked + bytes, sent);
      while (acks.length > 0 && acks[0]!.upTo <= acked) acks.shift()!.resolve();
      pump();
    },
    fail: (error) => {
      if (failure) return;
      failure = error;
      queue.length = 0;
      for (const ack of acks) ack.reject(error);
      acks = [];
    },
  };
}
