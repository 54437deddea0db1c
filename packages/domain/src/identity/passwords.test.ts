/** Password hashes: what they are, and how many wait at once. */
import { isAviaryError } from '@aviary/kernel';
import { expect, it } from 'vitest';
import { createPasswords } from './passwords.ts';

it('are Argon2id with a salt of their own, and fit their password only', async () => {
  const passwords = await createPasswords();
  const [one, two] = [await passwords.hash('birds of a feather'), await passwords.hash('birds of a feather')];
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(one).not.toBe(two);
  expect(await passwords.verify(one, 'birds of a feather')).toBe(true);
  expect(await passwords.verify(one, 'birds of a feathe')).toBe(false);
  // the one that stands in for unknown accounts lets nobody in
  expect(await passwords.verify(null, 'the password of nobody')).toBe(false);
});

it('are refused when too many wait, and go on afterwards', async () => {
  const passwords = await createPasswords(3);
  const asked = Array.from({ length: 7 }, () => passwords.hash('x'));
  const results = await Promise.allSettled(asked);
  expect(results.map(({ status }) => status)).toEqual([
    ...Array(5).fill('fulfilled'),
    ...Array(2).fill('rejected'),
  ]);
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  for (const error of refused) {
    expect(isAviaryError(error, 'rate_limited') && error.details).toEqual({ retryAfterSec: 5 });
  }
  expect(await passwords.verify(await passwords.hash('y'), 'y')).toBe(true);
});
