/** Limits on credential checks: alone with a fake clock, and as the commands meet them. */
import { AviaryError, isAviaryError } from '@aviary/kernel';
import { createFakeClock } from '@aviary/kernel/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressKey, createLimiter } from './limits.ts';
import { codeOf, createWorld, nobody, PASSWORD, type World } from './testing.ts';

const wrong = () => Promise.reject(new AviaryError('unauthorized', 'wrong'));
const isWrong = (error: unknown) => isAviaryError(error, 'unauthorized');

describe('the limiter', () => {
  it('counts failures in a sliding window', async () => {
    const clock = createFakeClock();
    const limiter = createLimiter({ max: 2, windowSec: 10 }, clock);
    expect(await codeOf(limiter.attempt('a', wrong, isWrong))).toBe('unauthorized');
    await clock.advance(4_000);
    expect(await codeOf(limiter.attempt('a', wrong, isWrong))).toBe('unauthorized');
    await expect(limiter.attempt('a', wrong, isWrong)).rejects.toMatchObject({
      code: 'rate_limited',
      details: { retryAfterSec: 6 },
    });
    expect(await codeOf(limiter.attempt('b', wrong, isWrong))).toBe('unauthorized');
    await clock.advance(6_000);
    expect(await codeOf(limiter.attempt('a', wrong, isWrong))).toBe('unauthorized');
    expect(await codeOf(limiter.attempt('a', wrong, isWrong))).toBe('rate_limited');
  });

  it('counts neither successes nor other failures', async () => {
    const limiter = createLimiter({ max: 1, windowSec: 10 }, createFakeClock());
    for (let n = 0; n < 5; n += 1) await limiter.attempt('a', async () => n, isWrong);
    await expect(limiter.attempt('a', () => Promise.reject(new Error('away')), isWrong)).rejects.toThrow(
      'away',
    );
    expect(await codeOf(limiter.attempt('a', wrong, isWrong))).toBe('unauthorized');
  });

  it('gives many at once no more tries than one after the other, and turns no right one away', async () => {
    const limiter = createLimiter({ max: 3, windowSec: 10 }, createFakeClock());
    const guesses = await Promise.all(
      Array.from({ length: 20 }, () => codeOf(limiter.attempt('a', wrong, isWrong))),
    );
    expect(guesses.filter((code) => code === 'unauthorized')).toHaveLength(3);
    const right = await Promise.all(
      Array.from({ length: 20 }, (_, n) => limiter.attempt('b', async () => n, isWrong)),
    );
    expect(right).toHaveLength(20);
  });
});

it.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  [null, 'none'],
])('counts %s as %s', (ip, key) => {
  expect(addressKey(ip)).toBe(key);
});

describe('the commands', () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld({
      limits: {
        loginPerAccountAndIp: { max: 3, windowSec: 60 },
        loginPerIp: { max: 6, windowSec: 60 },
        tokenPerIp: { max: 3, windowSec: 60 },
        signupPerIp: { max: 3, windowSec: 60 },
      },
    });
  });
  afterAll(() => world.close());
  const from = (ip: string) => ({ kind: 'nobody', ip }) as const;

  it('refuse even the right password after too many wrong ones, from that address only', async () => {
    await world.person('una');
    const login = (ip: string, password: string) =>
      world.identity.login(from(ip), { login: 'una-u', password });
    for (let n = 0; n < 3; n += 1)
      expect(await codeOf(login('198.51.100.1', 'x'))).toBe('invalid_credentials');
    expect(await codeOf(login('198.51.100.1', PASSWORD))).toBe('rate_limited');
    await login('198.51.100.2', PASSWORD);
    await world.clock.advance(60_000);
    await login('198.51.100.1', PASSWORD);
  });

  it('count wrong logins of all accounts per address', async () => {
    const login = (name: string) =>
      codeOf(world.identity.login(from('198.51.100.3'), { login: name, password: 'x' }));
    for (let n = 0; n < 6; n += 1) expect(await login(`user${n}`)).toBe('invalid_credentials');
    expect(await login('user7')).toBe('rate_limited');
  });

  it('count wrong keys and tokens per address, and let known ones pass', async () => {
    const { session } = await world.person('vic');
    const ip = '198.51.100.4';
    const good = () => world.identity.authenticate({ kind: 'jwt', token: session.token }, ip);
    await good();
    const bad = { kind: 'apiKey', key: `wrn_${'0'.repeat(32)}` } as const;
    for (let n = 0; n < 3; n += 1)
      expect(await codeOf(world.identity.authenticate(bad, ip))).toBe('unauthorized');
    expect(await codeOf(world.identity.authenticate(bad, ip))).toBe('rate_limited');
    await good();
  });

  it('count all signups per address', async () => {
    await world.clock.advance(60_000);
    for (const n of [1, 2, 3]) {
      await world.identity.signup(from('198.51.100.5'), {
        email: `w${n}@x.example`,
        password: PASSWORD,
        name: 'W',
      });
    }
    const fourth = { email: 'w4@x.example', password: PASSWORD, name: 'W' };
    expect(await codeOf(world.identity.signup(from('198.51.100.5'), fourth))).toBe('rate_limited');
  });

  it('leave refusals in the audit log, bounded', async () => {
    for (let n = 0; n < 80; n += 1)
      await world.identity.listTeams(from('198.51.100.9')).catch(() => undefined);
    const { records } = await world.audit.query({ action: 'team.list', limit: 500 });
    expect(records).toHaveLength(60);
    expect(records[0]).toMatchObject({
      outcome: 'refused',
      ip: '198.51.100.9',
      details: { code: 'unauthorized' },
    });
    await world.clock.advance(60_000);
    await world.identity.listTeams(from('198.51.100.9')).catch(() => undefined);
    const next = await world.audit.query({ action: 'team.list', limit: 1 });
    expect(next.records[0]?.details).toEqual({ code: 'unauthorized', dropped_before: 20 });
    expect(nobody.ip).not.toBe('198.51.100.9');
  });
});
