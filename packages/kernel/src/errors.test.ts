import { expect, it } from 'vitest';
import { AviaryError, ERROR_CODES, invalidField, isAviaryError, toAviaryError } from './index.ts';

it('says of every code when it is thrown', () => {
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(meaning.length).toBeGreaterThan(10);
  }
});

it('carries code, sentence, details and cause', () => {
  const cause = new Error('below');
  const error = new AviaryError('timeout', 'it took too long', { details: { ms: 5 }, cause });
  expect(error).toBeInstanceOf(Error);
  expect([error.code, error.message, error.details, error.cause]).toEqual([
    'timeout',
    'it took too long',
    { ms: 5 },
    cause,
  ]);
  const plain = new AviaryError('timeout', 'again');
  expect(plain.details).toEqual({});
  expect(Object.hasOwn(plain, 'cause')).toBe(false);
});

it('names a refused field in sentence and details', () => {
  expect(invalidField('vcpus', 'must be 1 to 4')).toMatchObject({
    code: 'invalid_request',
    message: 'vcpus: must be 1 to 4',
    details: { field: 'vcpus' },
  });
});

it('tells its codes apart, and from other errors', () => {
  const error = new AviaryError('conflict', 'x');
  expect(isAviaryError(error)).toBe(true);
  expect(isAviaryError(error, 'timeout', 'conflict')).toBe(true);
  expect(isAviaryError(error, 'timeout')).toBe(false);
  for (const other of [new Error('x'), { code: 'conflict' }, null, undefined, 'conflict']) {
    expect(isAviaryError(other, 'conflict')).toBe(false);
  }
});

it('makes everything thrown one of ours, and keeps what it was', () => {
  const known = new AviaryError('conflict', 'x');
  expect(toAviaryError(known)).toBe(known);
  const bug = new TypeError('undefined is not a function');
  expect(toAviaryError(bug)).toMatchObject({ code: 'internal', cause: bug });
  for (const thrown of ['text', null, undefined, 7]) {
    const error = toAviaryError(thrown);
    expect([error.code, error.cause]).toEqual(['internal', thrown]);
    expect(error.message).toContain(String(thrown));
  }
});
