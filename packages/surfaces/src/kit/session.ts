/** One WebSocket connection of JSON messages with flow control in both directions. For the streaming routes. */
import { AviaryError, type Clock } from '@aviary/kernel';
import type { WebSocket } from 'ws';

/** Bytes waiting in a socket above which the sender waits. */
const HIGH_WATER = 1024 * 1024;
/** Characters received but not yet taken, above which the socket is no longer read. */
const MAX_QUEUED = 4 * 1024 * 1024;
/** What holding a message costs besides its characters: empty ones must not be free. */
const MESSAGE_COST = 64;
/** Between protocol pings, ms. A peer that answered none of them by the next one is gone. */
export const ALIVE_MS = 30_000;

/** A parsed message: always an object with a string `type`. */
export type SocketMessage = { readonly type: string; readonly [field: string]: unknown };

export interface SocketSession {
  /** Queues a message; resolves when there is room for the next. Rejects with {@link SocketClosed}. */
  send(message: object): Promise<void>;
  /** Messages in order; ends when the client is gone. What is not such an object throws `invalid_request`. */
  readonly messages: AsyncIterableIterator<SocketMessage>;
  /** Aborts when the connection is gone, whoever ended it. */
  readonly closed: AbortSignal;
  /** Ends it after what was queued; idempotent. Codes: RFC 6455 section 7.4. */
  close(code: number, reason: string): void;
}

/** The client is gone: the end of a session, not a failure of anybody. */
export class SocketClosed extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'SocketClosed';
  }
}

/** Wraps an open socket. */
export function createSession(ws: WebSocket, clock: Clock): SocketSession {
  const queue: (string | null)[] = [];
  let queued = 0;
  let answered = true;
  const gone = new AbortController();
  let wake: (() => void) | null = null;
  const stir = () => {
    wake?.();
    wake = null;
  };
  ws.on('message', (data, isBinary) => {
    const text = isBinary ? null : data.toString();
    queue.push(text);
    queued += costOf(text);
    if (queued >= MAX_QUEUED) ws.pause();
    stir();
  });
  ws.on('pong', () => {
    answered = true;
  });
  // a machine that vanished sends no FIN; without this its session would last for ever
  const watch = async () => {
    for (;;) {
      await clock.sleep(ALIVE_MS, gone.signal);
      // a paused socket is not read, so neither are its answers
      if (ws.isPaused) continue;
      if (!answered) return ws.terminate();
      answered = false;
      ws.ping();
    }
  };
  // rejects when the session is over, which is its end too
  watch().catch(() => undefined);
  // an `error` is always followed by `close`, which is what ends the session
  ws.on('error', () => undefined);
  ws.on('close', () => {
    gone.abort(new SocketClosed());
    stir();
  });

  async function* read(): AsyncGenerator<SocketMessage, undefined> {
    for (;;) {
      const next = queue.shift();
      if (next !== undefined) {
        queued -= costOf(next);
        if (queued < MAX_QUEUED / 4 && ws.isPaused) ws.resume();
        yield parseMessage(next);
      } else if (gone.signal.aborted) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return {
    messages: read(),
    closed: gone.signal,
    send: (message) =>
      new Promise((resolve, reject) => {
        if (ws.readyState !== ws.OPEN) return reject(new SocketClosed());
        const full = ws.bufferedAmount > HIGH_WATER;
        ws.send(JSON.stringify(message), (error) => {
          if (error) reject(new SocketClosed());
          else resolve();
        });
        if (!full) resolve();
      }),
    close: (code, reason) => {
      if (ws.readyState === ws.CONNECTING || ws.readyState === ws.OPEN) ws.close(code, reason);
      // a paused socket would never see the close frame of the other side
      if (ws.isPaused) ws.resume();
    },
  };
}

function costOf(text: string | null): number {
  return MESSAGE_COST + (text?.length ?? 0);
}

function parseMessage(text: string | null): SocketMessage {
  if (text === null) throw new AviaryError('invalid_request', 'send JSON text messages, not binary ones');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AviaryError('invalid_request', 'the message is not JSON', { cause: error });
  }
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : null;
  if (typeof type !== 'string') {
    throw new AviaryError('invalid_request', 'a message is an object with a "type"');
  }
  return value as SocketMessage;
}
