import { describe, expect, it } from 'vitest';
import { createUtf8Splitter, incompleteTail, type Piece } from './utf8.ts';

const text = 'a é € 😀 z';
const bytes = Buffer.from(text);

function feed(chunks: Uint8Array[]): Piece[] {
  const splitter = createUtf8Splitter();
  return [...chunks.map((chunk) => splitter.push(chunk)), splitter.end()].filter((piece) => piece !== null);
}

describe('utf-8 splitter', () => {
  it('keeps characters whole wherever the stream is cut', () => {
    for (let at = 0; at <= bytes.length; at++) {
      const pieces = feed([bytes.subarray(0, at), bytes.subarray(at)]);
      expect(pieces.map((p) => p.data).join('')).toBe(text);
      expect(pieces.every((p) => p.encoding === undefined)).toBe(true);
    }
    expect(
      feed([...bytes].map((b) => Uint8Array.of(b)))
        .map((p) => p.data)
        .join(''),
    ).toBe(text);
  });

  it('sends what is no text as base64, without losing a byte', () => {
    const binary = Buffer.from([0x00, 0xff, 0x80, 0x41]);
    expect(feed([binary])).toEqual([{ data: binary.toString('base64'), encoding: 'base64' }]);
    // a lead byte that is never completed
    expect(feed([Buffer.from([0x41, 0xe2, 0x82])])).toEqual([
      { data: 'A' },
      { data: Buffer.from([0xe2, 0x82]).toString('base64'), encoding: 'base64' },
    ]);
  });

  it('knows how much of a character is missing', () => {
    expect(incompleteTail(Buffer.from([0xf0, 0x9f, 0x98]))).toBe(3);
    expect(incompleteTail(Buffer.from('€'))).toBe(0);
    expect(incompleteTail(Buffer.from([0xff]))).toBe(0);
    expect(incompleteTail(Buffer.from([0x80, 0x80, 0x80, 0x80]))).toBe(0);
    expect(incompleteTail(Buffer.alloc(0))).toBe(0);
  });
});
