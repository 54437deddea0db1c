import { expect, it } from 'vitest';
import { guestPath, refuseUnstorable, singleLine } from './text.ts';

it('names the field that holds what cannot be stored', () => {
  expect(() => refuseUnstorable({ envs: { A: 'x\u0000' } })).toThrow('envs.A');
  expect(() => refuseUnstorable({ args: ['fine', '\ud800'] })).toThrow('args[1]');
  expect(() => refuseUnstorable({ envs: { 'A\u0000': 'x' } })).toThrow('envs');
  expect(() => refuseUnstorable({ name: 'é😀\n', n: 1, ok: true, nothing: null })).not.toThrow();
});

it('takes names on one line only', () => {
  for (const bad of ['', 'a\nb', 'a\u0007', 'a\u0085b', 'x'.repeat(257)]) {
    expect(() => singleLine('id', bad)).toThrow('id:');
  }
  expect(singleLine('id', 'cl-é')).toBe('cl-é');
});

it('takes any path Linux could hold', () => {
  expect(guestPath('path', '/tmp/with\nnewline')).toBe('/tmp/with\nnewline');
  for (const bad of ['', '/a\u0000b', `/${'é'.repeat(2048)}`]) {
    expect(() => guestPath('path', bad)).toThrow('path:');
  }
});
