/** Attachments to processes: EXEC and ATTACH, output, input, exit. guest-link only. */
import { AviaryError } from '@aviary/kernel';
import type { GuestExec, GuestExit, GuestOutput, GuestProcess } from '@aviary/protocol';
import type { Connection } from './connection.ts';
import { guestFailure } from './failures.ts';
import { decodeFields, encodeFields, type FieldValue, numberOf, textOf } from './fields.ts';
import { createInput } from './input.ts';
import { createOutputQueue } from './output-queue.ts';
import { CHANNELS, COST_MIN, F, T } from './wire.ts';

/** Unread output of one attachment that the host holds at most, bytes. */
export const OUTPUT_WINDOW = 256 << 10;

/** Fields of an EXEC request. */
export function execFields(request: GuestExec): Buffer {
  const fields: [number, FieldValue | undefined][] = [];
  for (const arg of request.argv) fields.push([F.ARG, arg]);
  for (const [key, value] of Object.entries(request.envs ?? {})) fields.push([F.ENV, `${key}=${value}`]);
  fields.push([F.CWD, request.cwd], [F.USER, request.user], [F.TAG, request.tag]);
  if (request.pty) fields.push([F.COLS, request.pty.cols], [F.ROWS, request.pty.rows]);
  if (request.stdin) fields.push([F.STDIN, true]);
  if (request.background) fields.push([F.BACKGROUND, true]);
  fields.push([F.WINDOW, OUTPUT_WINDOW]);
  return encodeFields(fields);
}

/** Sends `type` with `payload` and follows the process it names. `from` are the offsets expected first. */
export function follow(
  connection: Connection,
  what: string,
  type: number,
  payload: Buffer,
  from: { stdout: number; stderr: number },
): Promise<GuestProcess> {
  return new Promise((resolve, reject) => {
    const expected = { stdout: from.stdout, stderr: from.stderr, pty: from.stdout };
    let outstanding = OUTPUT_WINDOW; // what the guest may still send
    let taken = 0;
    let started = false;
    let detached = false;
    let status: GuestExit | null = null;
    let resolveExit: (exit: GuestExit) => void = () => undefined;
    let rejectExit: (error: Error) => void = () => undefined;
    const exit = new Promise<GuestExit>((yes, no) => {
      resolveExit = yes;
      rejectExit = no;
    });
    exit.catch(() => undefined); // a caller may look at output only

    const queue = createOutputQueue<GuestOutput>((bytes) => {
      taken += bytes;
      if (taken < OUTPUT_WINDOW / 4 || status || detached) return;
      connection.grant(stream, taken);
      outstanding += taken;
      taken = 0;
    });

    const put = (name: GuestOutput['stream'], offset: number, data: Buffer) => {
      const lost = Math.max(0, offset - expected[name]);
      expected[name] = offset + data.length;
      if (lost > 0 || data.length > 0) queue.push({ stream: name, offset, lost, data }, cost(data.length));
    };

    const onExit = (data: Buffer) => {
      if (data.length < 24) return connection.close('its agent broke the protocol: a short exit');
      const signal = data.readInt32LE(4);
      status = { code: data.readInt32LE(0), signal: signal === 0 ? null : signal };
      if (type === T.ATTACH || pty) {
        // output that was overwritten before we could ask for it, with nothing after it
        put(
          pty ? 'pty' : 'stdout',
          Math.max(Number(data.readBigUInt64LE(8)), expected[pty ? 'pty' : 'stdout']),
          EMPTY,
        );
        if (!pty) put('stderr', Math.max(Number(data.readBigUInt64LE(16)), expected.stderr), EMPTY);
      }
      connection.release(stream);
      input.fail(new AviaryError('process_not_found', 'the process ended before it took the input'));
      queue.end();
      const ended = status;
      void queue.drained.then(() => resolveExit(ended));
    };

    const onReply = (data: Buffer) => {
      const fields = decodeFields(data);
      started = true;
      resolve({
        pid: numberOf(fields.get(F.PID)),
        tag: textOf(fields.get(F.TAG)),
        output: queue.pieces,
        exit,
        write: (bytes) => input.write(bytes),
        closeStdin: async () => input.end(),
        resize: async (cols, rows) => {
          const size = Buffer.allocUnsafe(4);
          size.writeUInt16LE(cols, 0);
          size.writeUInt16LE(rows, 2);
          connection.send(stream, T.RESIZE, size);
        },
        detach: () => {
          if (detached) return;
          detached = true;
          if (status) {
            queue.discard(); // it has ended: what was not read is not wanted, and its exit is known
            return;
          }
          connection.send(stream, T.CLOSE);
          connection.release(stream);
          const error = new AviaryError('conflict', 'detached from the process, which goes on');
          input.fail(error);
          queue.discard();
          queue.end();
          rejectExit(error);
        },
      });
    };

    let pty = false;
    const stream = connection.open({
      frame: (kind, flags, data) => {
        if (kind === T.OUTPUT) {
          const name = CHANNELS[flags as keyof typeof CHANNELS];
          if (!name || data.length < 8 || data.length - 8 > outstanding)
            return connection.close('its agent broke the protocol: output that was not asked for');
          outstanding -= cost(data.length - 8);
          if (name === 'pty') pty = true;
          put(name, Number(data.readBigUInt64LE(0)), data.subarray(8));
        } else if (kind === T.CREDIT) {
          if (data.length >= 4) input.granted(data.readUInt32LE(0));
        } else if (kind === T.EXIT) {
          onExit(data);
        } else if (kind === T.INPUT_CLOSED) {
          input.fail(new AviaryError('conflict', 'the process has closed its input'));
        } else if (kind === T.REPLY) {
          onReply(data);
        } else if (kind === T.FAIL) {
          connection.release(stream);
          reject(guestFailure(what, data));
        }
      },
      lost: (error) => {
        if (!started) reject(error);
        input.fail(error);
        queue.end(error);
        rejectExit(error);
      },
    });
    const input = createInput(connection, stream);
    connection.sendLong(stream, type, payload);
  });
}

const EMPTY = Buffer.alloc(0);

/** What a frame takes of the window. */
function cost(bytes: number): number {
  return Math.max(bytes, COST_MIN);
}
