/** A WebSocket client for the contract tests: sends, collects, waits for what it expects. */
import WebSocket from 'ws';

export interface Message {
  type: string;
  [field: string]: unknown;
}

export interface Socket {
  send(message: object): void;
  /** The first message not taken yet that matches; rejects when the socket closes before. */
  next(match: (message: Message) => boolean): Promise<Message>;
  /** All messages so far. */
  readonly all: Message[];
  /** Close code and reason. */
  readonly closed: Promise<{ code: number; reason: string }>;
  close(): void;
  /** Reads nothing more, as a client that hangs. */
  pause(): void;
  /** Vanishes without a close frame. */
  terminate(): void;
}

/** Connects. Rejects with `{status, body}` when the server answers HTTP instead. */
export function connect(url: string, headers: Record<string, string> = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    const all: Message[] = [];
    let taken = 0;
    let stir: () => void = () => undefined;
    let over = false;
    const closed = new Promise<{ code: number; reason: string }>((settle) => {
      ws.on('close', (code, reason) => {
        over = true;
        stir();
        settle({ code, reason: reason.toString() });
      });
    });
    ws.on('message', (data) => {
      all.push(JSON.parse(data.toString()) as Message);
      stir();
    });
    ws.on('error', reject);
    ws.on('unexpected-response', (_, response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => reject({ status: response.statusCode, body: JSON.parse(text) }));
    });
    ws.on('open', () =>
      resolve({
        all,
        closed,
        send: (message) => ws.send(JSON.stringify(message)),
        close: () => ws.close(),
        pause: () => ws.pause(),
        terminate: () => ws.terminate(),
        next: async (match) => {
          for (;;) {
            const at = all.findIndex((message, i) => i >= taken && match(message));
            if (at >= 0) {
              taken = at + 1;
              return all[at]!;
            }
            if (over) throw new Error(`the socket closed before; it said ${JSON.stringify(all)}`);
            await new Promise<void>((wake) => {
              stir = wake;
            });
          }
        },
      }),
    );
  });
}
