/**
 * One port (ctl or bulk) over a byte stream: greeting, streams, requests, credits. guest-link only.
 * Protocol: guest/PROTOCOL.md.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { createParser, encodeFrame, type Frame } from './codec.ts';
import { capsuleLost, guestFailure } from './failures.ts';
import { decodeFields, numberOf, textOf } from './fields.ts';
import {
  F,
  FLAG_MORE,
  FRAME_HEADER,
  FRAME_MAX_PAYLOAD,
  FRAME_TRAILER,
  NONCE_SIZE,
  PROTOCOL_VERSION,
  T,
} from './wire.ts';

/** Completes any half frame that the guest still holds from before; its zero trailer makes it invalid. */
const RESYNC = Buffer.alloc(FRAME_HEADER + FRAME_MAX_PAYLOAD + FRAME_TRAILER);
/** The largest reply that is not a stream of its own; the guest is not trusted to stop. */
const REPLY_MAX = 16 << 20;
const EMPTY = Buffer.alloc(0);

/** What a stream gets. After `lost` nothing more comes. */
export interface StreamEvents {
  frame(type: number, flags: number, payload: Buffer): void;
  lost(error: Error): void;
}

/** What the guest said of itself when greeted. */
export interface Greeting {
  version: number;
  /** Differs for every boot of the guest's kernel, not for clones. */
  boot: string;
  build: string;
}

export interface Connection {
  /** Resolves when the guest has answered HELLO. Frames may be sent before. */
  readonly greeted: Promise<Greeting>;
  /** Resolves (never rejects) with the reason when the connection is over. */
  readonly closed: Promise<string>;
  /** A new stream's number. */
  open(events: StreamEvents): number;
  /** Frames for this stream are dropped from now on. */
  release(stream: number): void;
  send(stream: number, type: number, payload?: Uint8Array, flags?: number): void;
  /** A request of any size as one or more frames. */
  sendLong(stream: number, type: number, payload: Buffer): void;
  /** Request and single reply. Errors: as the guest says, capsule_lost. */
  request(what: string, type: number, payload?: Buffer): Promise<Buffer>;
  grant(stream: number, bytes: number): void;
  close(reason: string): void;
}

export interface ConnectionOptions {
  /**
   * The guest is known to wait at the start of a frame: its state was saved after QUIESCE and nobody spoke to
   * it since. Saves it 64 KiB of reading, which a fresh clone feels.
   */
  clean?: boolean;
  /** Makes epoch and nonce. */
  random?: (n: number) => Buffer;
}

/** Greets over `socket`, which is then the connection's. */
export function connect(
  socket: Duplex,
  { clean = false, random = randomBytes }: ConnectionOptions = {},
): Connection {
  const streams = new Map<number, StreamEvents>();
  const epoch = random(4).readUInt32LE(0);
  const nonce = random(NONCE_SIZE);
  let last = 0;
  let over: string | null = null;
  let resolveClosed: (reason: string) => void = () => undefined;
  let resolveGreeted: (greeting: Greeting) => void = () => undefined;
  let rejectGreeted: (error: Error) => void = () => undefined;
  const closed = new Promise<string>((resolve) => {
    resolveClosed = resolve;
  });
  const greeted = new Promise<Greeting>((resolve, reject) => {
    resolveGreeted = resolve;
    rejectGreeted = reject;
  });
  greeted.catch(() => undefined); // a caller that never greets learns it from its requests

  const close = (reason: string) => {
    if (over !== null) return;
    over = reason;
    socket.destroy();
    const error = capsuleLost(reason);
    rejectGreeted(error);
    const all = [...streams.values()];
    streams.clear();
    for (const stream of all) stream.lost(error);
    resolveClosed(reason);
  };

  const onFrame = (frame: Frame) => {
    if (frame.epoch !== epoch) return;
    if (frame.type !== T.HELLO_ACK) {
      streams.get(frame.stream)?.frame(frame.type, frame.flags, frame.payload);
      return;
    }
    const fields = decodeFields(frame.payload.subarray(NONCE_SIZE));
    const version = numberOf(fields.get(F.VERSION));
    if (version !== PROTOCOL_VERSION) {
      close(
        `the guest agent speaks version ${version} of the protocol, this host speaks ${PROTOCOL_VERSION}`,
      );
      return;
    }
    resolveGreeted({
      version,
      boot: fields.get(F.BOOT)?.toString('hex') ?? '',
      build: textOf(fields.get(F.BUILD)),
    });
  };

  const parser = createParser({
    frame: onFrame,
    broken: (why) => close(`its agent broke the protocol: ${why}`),
  });
  parser.expect(nonce);
  socket.on('data', (chunk: Buffer) => parser.push(chunk));
  socket.on('error', (error: Error) => close(error.message));
  socket.on('end', () => close('its connection ended'));
  socket.on('close', () => close('its connection was closed'));

  const version = Buffer.alloc(4);
  version.writeUInt32LE(PROTOCOL_VERSION, 0);
  socket.cork();
  if (!clean) socket.write(RESYNC);
  socket.write(encodeFrame(epoch, 0, T.HELLO, 0, Buffer.concat([nonce, version])));
  process.nextTick(() => socket.uncork()); // what the caller sends in the same turn goes into the same write

  const send: Connection['send'] = (stream, type, payload = EMPTY, flags = 0) => {
    if (over === null) socket.write(encodeFrame(epoch, stream, type, flags, payload));
  };

  const open: Connection['open'] = (events) => {
    if (over !== null) {
      const error = capsuleLost(over);
      queueMicrotask(() => events.lost(error));
    }
    do last = (last % 0xfffffffe) + 1;
    while (streams.has(last));
    if (over === null) streams.set(last, events);
    return last;
  };

  const sendLong: Connection['sendLong'] = (stream, type, payload) => {
    let at = 0;
    do {
      const end = Math.min(at + FRAME_MAX_PAYLOAD, payload.length);
      send(stream, type, payload.subarray(at, end), end < payload.length ? FLAG_MORE : 0);
      at = end;
    } while (at < payload.length);
  };

  return {
    greeted,
    closed,
    open,
    release: (stream) => streams.delete(stream),
    send,
    sendLong,
    request: (what, type, payload = EMPTY) =>
      new Promise((resolve, reject) => {
        const parts: Buffer[] = [];
        let size = 0;
        const stream = open({
          frame: (kind, flags, data) => {
            if (kind === T.REPLY || kind === T.PONG) {
              parts.push(data);
              size += data.length;
              if (size > REPLY_MAX) return close('its agent broke the protocol: an endless reply');
              if (flags & FLAG_MORE) return;
              streams.delete(stream);
              resolve(parts.length === 1 ? data : Buffer.concat(parts));
            } else if (kind === T.FAIL) {
              streams.delete(stream);
              reject(guestFailure(what, data));
            }
          },
          lost: reject,
        });
        sendLong(stream, type, payload);
      }),
    grant: (stream, bytes) => {
      const payload = Buffer.allocUnsafe(4);
      payload.writeUInt32LE(bytes, 0);
      send(stream, T.CREDIT, payload);
    },
    close,
  };
}
