/** One process of the mock: output for several listeners, input, replay, signals. Used by the mock guest only. */
import { AviaryError } from '@aviary/kernel';
import type { GuestExec, GuestExit, GuestOutput, GuestProcess } from '@aviary/protocol';
import type { Run } from './commands.ts';

/** Bytes a listener may lag behind a foreground process before that waits. */
const WINDOW = 256 * 1024;
/** Bytes kept for listeners that come later. */
const REPLAY = 1024 * 1024;

interface Listener {
  queue: GuestOutput[];
  bytes: number;
  wake(): void;
  attached: boolean;
}

export interface MockProcess {
  readonly pid: number;
  readonly tag: string;
  readonly request: GuestExec;
  readonly ended: () => boolean;
  attach(): GuestProcess;
  signal(number: number): void;
  lose(error: AviaryError): void;
}

/** Starts `run` as a process. */
export function startProcess(pid: number, tag: string, request: GuestExec, run: Run): MockProcess {
  const listeners = new Set<Listener>();
  const replay: GuestOutput[] = [];
  const offsets = { stdout: 0, stderr: 0, pty: 0 };
  const input: (Buffer | null)[] = [];
  const killed = new AbortController();
  let wakeInput: () => void = () => undefined;
  let wakeOutput: () => void = () => undefined;
  let replayBytes = 0;
  let size = request.pty ?? { cols: 80, rows: 24 };
  let end: { exit: GuestExit } | { error: AviaryError } | null = null;
  let settle: { resolve(exit: GuestExit): void; reject(error: AviaryError): void };
  const exit = new Promise<GuestExit>((resolve, reject) => {
    settle = { resolve, reject };
  });
  exit.catch(() => undefined);
  if (request.stdin !== true && request.pty === undefined) input.push(null);

  const finish = (how: { exit: GuestExit } | { error: AviaryError }) => {
    if (end !== null) return;
    end = how;
    killed.abort();
    if ('exit' in how) settle.resolve(how.exit);
    else settle.reject(how.error);
    for (const listener of listeners) listener.wake();
    wakeInput();
    wakeOutput();
  };
  const emit = async (stream: 'stdout' | 'stderr', data: Buffer) => {
    if (end !== null || data.length === 0) return;
    const name = request.pty === undefined ? stream : 'pty';
    const piece: GuestOutput = { stream: name, offset: offsets[name], lost: 0, data };
    offsets[name] += data.length;
    replay.push(piece);
    replayBytes += data.length;
    while (replayBytes > REPLAY) replayBytes -= replay.shift()!.data.length;
    for (const listener of listeners) {
      listener.queue.push(piece);
      listener.bytes += data.length;
      listener.wake();
    }
    // the command gives way to its listeners after each piece, as a pipe would
    await new Promise(setImmediate);
    while (end === null && request.background !== true && [...listeners].some((l) => l.bytes > WINDOW)) {
      await new Promise<void>((resolve) => {
        wakeOutput = resolve;
      });
    }
  };
  async function* stdin(): AsyncGenerator<Buffer> {
    while (end === null) {
      const next = input.shift();
      if (next === null) return;
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          wakeInput = resolve;
        });
      }
    }
  }

  run({ request, stdin: stdin(), emit, signal: killed.signal, size: () => size }).then(
    (code) => finish({ exit: { code, signal: null } }),
    (error: unknown) => {
      if (end === null)
        finish({ error: new AviaryError('internal', 'the mock command failed', { cause: error }) });
    },
  );

  const push = (data: Buffer | null) => {
    input.push(data);
    wakeInput();
  };
  const attach = (): GuestProcess => {
    let wake: () => void = () => undefined;
    const queue = [...replay];
    const listener: Listener = {
      queue,
      bytes: queue.reduce((sum, piece) => sum + piece.data.length, 0),
      wake: () => wake(),
      attached: true,
    };
    listeners.add(listener);
    async function* read(): AsyncGenerator<GuestOutput> {
      while (listener.attached) {
        const piece = listener.queue.shift();
        if (piece !== undefined) {
          listener.bytes -= piece.data.length;
          wakeOutput();
          yield piece;
        } else if (end === null) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else {
          if ('error' in end) throw end.error;
          return;
        }
      }
    }
    return {
      pid,
      tag,
      output: read(),
      exit,
      write: async (data) => push(Buffer.from(data)),
      closeStdin: async () => push(null),
      resize: async (cols, rows) => {
        size = { cols, rows };
      },
      detach: () => {
        listener.attached = false;
        listeners.delete(listener);
        wake();
        wakeOutput();
      },
    };
  };
  return {
    pid,
    tag,
    request,
    ended: () => end !== null,
    attach,
    signal: (number) => finish({ exit: { code: 128 + number, signal: number } }),
    lose: (error) => finish({ error }),
  };
}
