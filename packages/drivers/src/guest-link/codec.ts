/** Frames: building and parsing. Pure; guest-link only. The layout is guest/PROTOCOL.md section 2. */
import { crc32 } from 'node:zlib';
import {
  FRAME_CHECKED,
  FRAME_HEADER,
  FRAME_MARK,
  FRAME_MAX_PAYLOAD,
  FRAME_TRAILER,
  NONCE_SIZE,
  T,
} from './wire.ts';

/** A whole, checked frame. `payload` is the receiver's to keep. */
export interface Frame {
  epoch: number;
  stream: number;
  type: number;
  flags: number;
  payload: Buffer;
}

/** The trailer: CRC-32 of header and the first bytes of payload, never zero. */
function check(header: Buffer, payload: Uint8Array): number {
  const head = crc32(header);
  const sum = payload.length > 0 ? crc32(payload.subarray(0, FRAME_CHECKED), head) : head;
  return sum === 0 ? 0xffffffff : sum;
}

/** One frame as bytes, in one buffer (payloads are small or written once; one write is worth the copy). */
export function encodeFrame(
  epoch: number,
  stream: number,
  type: number,
  flags: number,
  payload: Uint8Array,
): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER + payload.length + FRAME_TRAILER);
  frame.writeUInt32LE((FRAME_MARK | (payload.length << 8)) >>> 0, 0);
  frame.writeUInt32LE(epoch, 4);
  frame.writeUInt32LE(stream, 8);
  frame.writeUInt32LE((type | (flags << 8)) >>> 0, 12);
  frame.set(payload, FRAME_HEADER);
  frame.writeUInt32LE(check(frame.subarray(0, FRAME_HEADER), payload), FRAME_HEADER + payload.length);
  return frame;
}

/** Receives frames, or says that the bytes can be no frames (the link is then useless). */
export interface ParserEvents {
  frame(frame: Frame): void;
  broken(why: string): void;
}

/** Turns chunks into frames. Until `expect`ed nonce was seen, everything is discarded. */
export interface Parser {
  /** From now on discard everything up to the HELLO_ACK that begins with this nonce. */
  expect(nonce: Buffer): void;
  push(chunk: Buffer): void;
}

/** A parser without state of the guest: it never throws, and after `broken` it ignores everything. */
export function createParser(events: ParserEvents): Parser {
  const header = Buffer.alloc(FRAME_HEADER);
  const trailer = Buffer.alloc(FRAME_TRAILER);
  let nonce: Buffer | null = null;
  let held: Buffer = Buffer.alloc(0); // what may be the start of the HELLO_ACK
  let dead = false;
  let headerAt = 0;
  let payload: Buffer = Buffer.alloc(0);
  let payloadAt = 0;
  let trailerAt = 0;

  const fail = (why: string) => {
    dead = true;
    events.broken(why);
  };

  const finish = () => {
    headerAt = 0;
    if (trailer.readUInt32LE(0) !== check(header, payload)) return fail('a frame has a wrong trailer');
    events.frame({
      epoch: header.readUInt32LE(4),
      stream: header.readUInt32LE(8),
      type: header[12]!,
      flags: header[13]!,
      payload,
    });
  };

  const openPayload = () => {
    const length = header.readUInt32LE(0) >>> 8;
    if (length > FRAME_MAX_PAYLOAD || header[14] !== 0 || header[15] !== 0)
      return fail('a frame has an impossible header');
    payload = Buffer.allocUnsafe(length);
    payloadAt = 0;
    trailerAt = 0;
  };

  const parse = (chunk: Buffer) => {
    let at = 0;
    while (at < chunk.length && !dead) {
      if (headerAt === 0 && chunk[at] === 0) {
        at++;
      } else if (headerAt === 0 && chunk[at] !== FRAME_MARK) {
        fail('bytes between frames');
      } else if (headerAt < FRAME_HEADER) {
        const n = Math.min(FRAME_HEADER - headerAt, chunk.length - at);
        chunk.copy(header, headerAt, at, at + n);
        headerAt += n;
        at += n;
        if (headerAt === FRAME_HEADER) openPayload();
      } else if (payloadAt < payload.length) {
        const n = Math.min(payload.length - payloadAt, chunk.length - at);
        chunk.copy(payload, payloadAt, at, at + n);
        payloadAt += n;
        at += n;
      } else {
        const n = Math.min(FRAME_TRAILER - trailerAt, chunk.length - at);
        chunk.copy(trailer, trailerAt, at, at + n);
        trailerAt += n;
        at += n;
        if (trailerAt === FRAME_TRAILER) finish();
      }
    }
  };

  /** Looks for the nonce; keeps only what may still become a HELLO_ACK's header and nonce. */
  const search = (chunk: Buffer) => {
    const all = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    let from = 0;
    for (;;) {
      const at = all.indexOf(nonce!, from);
      if (at < 0) break;
      if (at >= FRAME_HEADER && all[at - FRAME_HEADER] === FRAME_MARK && all[at - 4] === T.HELLO_ACK) {
        nonce = null;
        held = Buffer.alloc(0);
        headerAt = 0;
        parse(all.subarray(at - FRAME_HEADER));
        return;
      }
      from = at + 1;
    }
    held = Buffer.from(all.subarray(Math.max(0, all.length - FRAME_HEADER - NONCE_SIZE)));
  };

  return {
    expect: (next) => {
      nonce = next;
      held = Buffer.alloc(0);
      dead = false;
    },
    push: (chunk) => {
      if (dead) return;
      if (nonce) search(chunk);
      else parse(chunk);
    },
  };
}
