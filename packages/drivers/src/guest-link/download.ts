/** Streams from the guest under credit: file bodies and long lists. guest-link only. */
import { Readable } from 'node:stream';
import type { Connection } from './connection.ts';
import { guestFailure } from './failures.ts';
import { COST_MIN, T } from './wire.ts';

/** Bytes on their way or unread at most, per download. */
export const DOWNLOAD_WINDOW = 1 << 20;

/** Sends `type`; resolves with the reply's payload and the bytes that follow it. Destroying the body ends the transfer. */
export function download(
  connection: Connection,
  what: string,
  type: number,
  payload: Buffer,
): Promise<{ reply: Buffer; body: Readable }> {
  return new Promise((resolve, reject) => {
    let outstanding = DOWNLOAD_WINDOW;
    let unread = 0; // pushed into the body, not granted back yet
    let extra = 0; // what small frames cost beyond their bytes, not granted back yet
    let over = false;

    const grantTaken = () => {
      const taken = unread - body.readableLength;
      if (over || taken + extra < DOWNLOAD_WINDOW / 4) return;
      unread -= taken;
      outstanding += taken + extra;
      connection.grant(stream, taken + extra);
      extra = 0;
    };

    const body = new Readable({
      highWaterMark: 64 << 10,
      // Called just before the reader takes what is buffered, so what it took is known a moment later.
      read: () => queueMicrotask(grantTaken),
      destroy: (error, done) => {
        if (!over) {
          over = true;
          connection.send(stream, T.CLOSE);
          connection.release(stream);
        }
        done(error);
      },
    });

    const stream = connection.open({
      frame: (kind, _flags, data) => {
        if (kind === T.DATA) {
          if (data.length > outstanding)
            return connection.close('its agent broke the protocol: data that was not asked for');
          outstanding -= Math.max(data.length, COST_MIN);
          extra += Math.max(0, COST_MIN - data.length);
          unread += data.length;
          body.push(data);
        } else if (kind === T.REPLY) {
          resolve({ reply: data, body });
        } else if (kind === T.END) {
          over = true;
          connection.release(stream);
          body.push(null);
        } else if (kind === T.FAIL) {
          over = true;
          connection.release(stream);
          const error = guestFailure(what, data);
          reject(error);
          body.on('error', () => undefined); // before the reply nobody holds the body yet
          body.destroy(error);
        }
      },
      lost: (error) => {
        over = true;
        reject(error);
        body.on('error', () => undefined);
        body.destroy(error);
      },
    });
    connection.sendLong(stream, type, payload);
  });
}
