import { describe, expect, it } from 'vitest';
import { ID_PREFIXES, type IdKind, isId, newId, randomHex, randomToken } from './index.ts';

const KINDS = Object.keys(ID_PREFIXES) as IdKind[];

describe('newId', () => {
  it.each(KINDS)('of a %s has its prefix and 25 digits of base36', (kind) => {
    const id = newId(kind);
    expect(id).toMatch(/^[a-z]+-[0-9a-z]{25}$/);
    expect(KINDS.filter((other) => isId(other, id))).toEqual([kind]);
  });

  it('keeps all 128 bits, from the smallest number to the largest', () => {
    expect(newId('capsule', (size) => Buffer.alloc(size))).toBe(`cl-${'0'.repeat(25)}`);
    const largest = newId('capsule', (size) => Buffer.alloc(size, 0xff));
    expect(largest).toBe(`cl-${(2n ** 128n - 1n).toString(36)}`);
    expect(isId('capsule', largest)).toBe(true);
  });

  it('is new each time', () => {
    expect(new Set(Array.from({ length: 1000 }, () => newId('team'))).size).toBe(1000);
  });
});

it.each([
  '',
  'cl-',
  `cl-${'0'.repeat(24)}`,
  `cl-${'0'.repeat(26)}`,
  `cl-${'A'.repeat(25)}`,
  `cl-${'0'.repeat(25)}\n`,
  `xcl-${'0'.repeat(25)}`,
  `cl_${'0'.repeat(25)}`,
])('refuses %j as the id of a capsule', (text) => {
  expect(isId('capsule', text)).toBe(false);
});

describe('randomToken', () => {
  it('has the length asked for, of a-z0-9 only', () => {
    for (const length of [0, 1, 32, 100]) {
      expect(randomToken(length)).toMatch(new RegExp(`^[a-z0-9]{${length}}$`));
    }
  });

  it('uses every character equally often: the bytes that do not divide evenly are drawn again', () => {
    // every byte value once, then the last call's remainder: 252 = 7 * 36 of them count
    const calls: number[] = [];
    const every = (size: number) => {
      calls.push(size);
      return Buffer.from(Array.from({ length: size }, (_, i) => i % 256));
    };
    const counts = new Map<string, number>();
    for (const character of randomToken(252, every)) {
      counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    expect([...counts.values()]).toEqual(Array(36).fill(7));
    expect(
      randomToken(
        2,
        drawing([
          [255, 252],
          [253, 254],
          [0, 35],
        ]),
      ),
    ).toBe('a9');
  });
});

it('writes random bytes as hex', () => {
  expect(randomHex(3, () => Buffer.of(0, 0xab, 0xff))).toBe('00abff');
  expect(randomHex(8)).toMatch(/^[0-9a-f]{16}$/);
});

/** Randomness that answers these bytes, one list per call. */
function drawing(lists: number[][]) {
  return () => Buffer.from(lists.shift() ?? []);
}
