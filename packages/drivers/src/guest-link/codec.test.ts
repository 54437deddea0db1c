/** The host's frame parser against arbitrary chunks, stale bytes, half frames, flipped bits. */
import { describe, expect, test } from 'vitest';
import { createParser, encodeFrame, type Frame } from './codec.ts';
import { NONCE_SIZE, T } from './wire.ts';

const EPOCH = 0x0a0b0c0d;
const NONCE = Buffer.from('0123456789abcdef');

/** Deterministic numbers: xorshift32. */
function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const payloadOf = (stream: number, length: number) =>
  Buffer.from(Array.from({ length }, (_, i) => (stream * 31 + i) & 255));
const ack = () => encodeFrame(EPOCH, 0, T.HELLO_ACK, 0, Buffer.concat([NONCE, Buffer.from('fields')]));

function receiver() {
  const frames: Frame[] = [];
  const broken: string[] = [];
  const parser = createParser({ frame: (frame) => frames.push(frame), broken: (why) => broken.push(why) });
  parser.expect(NONCE);
  return { frames, broken, parser };
}

function pushInChunks(push: (chunk: Buffer) => void, bytes: Buffer, next: (below: number) => number): void {
  for (let at = 0; at < bytes.length; ) {
    const n = Math.min(bytes.length - at, 1 + next(next(2) === 0 ? 30 : 70000));
    push(bytes.subarray(at, at + n));
    at += n;
  }
}

describe('the parser', () => {
  test('delivers every frame once, in order, whatever the chunks and whatever came before the greeting', () => {
    const next = numbers(7);
    for (let round = 0; round < 400; round++) {
      const { frames, broken, parser } = receiver();
      const stale = Buffer.from(Array.from({ length: next(200) }, () => next(256)));
      const half = encodeFrame(1, 5, T.DATA, 0, payloadOf(1, next(500)));
      const sent = Array.from({ length: next(6) }, (_, i) => ({
        stream: i + 1,
        payload: payloadOf(i, next(4) === 0 ? 65536 - next(3) : next(300)),
      }));
      const wire = Buffer.concat([
        stale,
        half.subarray(0, next(half.length)),
        ack(),
        ...sent.flatMap(({ stream, payload }) => [
          Buffer.alloc(next(3)),
          encodeFrame(EPOCH, stream, T.DATA, 3, payload),
        ]),
      ]);
      pushInChunks(parser.push, wire, next);
      expect(broken).toEqual([]);
      expect(frames.map((frame) => frame.stream)).toEqual([0, ...sent.map((frame) => frame.stream)]);
      for (const [i, { payload }] of sent.entries())
        expect(frames[i + 1]!.payload.equals(payload)).toBe(true);
    }
  });

  test('never delivers a frame whose header or checked bytes were changed, and never throws', () => {
    const next = numbers(99);
    for (let round = 0; round < 3000; round++) {
      const { frames, parser } = receiver();
      const payload = payloadOf(round, next(257));
      const frame = encodeFrame(EPOCH, 9, T.DATA, 0, payload);
      const bad = Buffer.from(frame);
      const at = next(bad.length);
      bad[at] = bad[at]! ^ (1 << next(8));
      parser.push(ack());
      pushInChunks(parser.push, Buffer.concat([bad, frame]), next);
      for (const got of frames.slice(1)) {
        expect([got.stream, got.type, got.epoch]).toEqual([9, T.DATA, EPOCH]);
        expect(got.payload.equals(payload)).toBe(true);
      }
    }
  });

  test('survives random bytes for ever', () => {
    const next = numbers(3);
    for (let round = 0; round < 300; round++) {
      const { parser, frames } = receiver();
      if (round % 2 === 0) parser.push(ack());
      for (let i = 0; i < 20; i++)
        parser.push(Buffer.from(Array.from({ length: next(100) }, () => next(256))));
      expect(frames.length).toBeLessThanOrEqual(1);
    }
  });

  test('a nonce that a stale frame repeats by chance of its content is not the greeting', () => {
    const { frames, parser } = receiver();
    parser.push(encodeFrame(1, 2, T.DATA, 0, Buffer.concat([Buffer.alloc(40, 1), NONCE])));
    expect(frames).toEqual([]);
    parser.push(ack());
    expect(frames.map((frame) => frame.type)).toEqual([T.HELLO_ACK]);
  });

  test('says what is wrong and then stays silent', () => {
    const { broken, frames, parser } = receiver();
    parser.push(Buffer.concat([ack(), Buffer.from('nonsense'), encodeFrame(EPOCH, 1, T.DATA, 0, NONCE)]));
    expect(broken).toEqual(['bytes between frames']);
    expect(frames).toHaveLength(1);
  });

  test('half a frame completed by zeros is no frame', () => {
    const { frames, broken, parser } = receiver();
    const frame = encodeFrame(EPOCH, 1, T.DATA, 0, Buffer.alloc(100, 0x55));
    parser.push(Buffer.concat([ack(), frame.subarray(0, 60), Buffer.alloc(80)]));
    expect(frames).toHaveLength(1);
    expect(broken).toHaveLength(1);
    expect(NONCE.length).toBe(NONCE_SIZE);
  });
});
