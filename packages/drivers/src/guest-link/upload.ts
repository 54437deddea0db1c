/** Streams into the guest under credit: file bodies. guest-link only. */
import type { Connection } from './connection.ts';
import { guestFailure } from './failures.ts';
import { FRAME_MAX_PAYLOAD, T, UPLOAD_WINDOW } from './wire.ts';

/**
 * Sends `type`, then the body, then the end; resolves with the reply. When the body fails, nothing of the file
 * stays in the guest and the body's error is thrown.
 */
export async function upload(
  connection: Connection,
  what: string,
  type: number,
  payload: Buffer,
  body: AsyncIterable<Uint8Array>,
): Promise<Buffer> {
  let credit = UPLOAD_WINDOW;
  let wake: () => void = () => undefined;
  let outcome: { reply: Buffer } | { error: Error } | null = null;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const settle = (result: { reply: Buffer } | { error: Error }) => {
    outcome ??= result;
    connection.release(stream);
    wake();
    finish();
  };
  const stream = connection.open({
    frame: (kind, _flags, data) => {
      if (kind === T.CREDIT && data.length >= 4) {
        credit += data.readUInt32LE(0);
        wake();
      } else if (kind === T.REPLY) {
        settle({ reply: data });
      } else if (kind === T.FAIL) {
        settle({ error: guestFailure(what, data) });
      }
    },
    lost: (error) => settle({ error }),
  });
  connection.sendLong(stream, type, payload);
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length && !outcome; ) {
        if (credit <= 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        const n = Math.min(chunk.length - at, FRAME_MAX_PAYLOAD, credit);
        connection.send(stream, T.DATA, chunk.subarray(at, at + n));
        credit -= n;
        at += n;
      }
      if (outcome) break;
    }
  } catch (error) {
    if (!outcome) connection.send(stream, T.CLOSE);
    connection.release(stream);
    throw error;
  }
  if (!outcome) connection.send(stream, T.END);
  await finished;
  const result = outcome as unknown as { reply: Buffer } | { error: Error };
  if ('error' in result) throw result.error;
  return result.reply;
}
