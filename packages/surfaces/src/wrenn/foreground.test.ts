import { createMockHost } from '@aviary/drivers/mock';
import { AviaryError, systemClock } from '@aviary/kernel';
import { createFakeClock } from '@aviary/kernel/testing';
import type { Guest } from '@aviary/protocol';
import { beforeEach, expect, it } from 'vitest';
import { OUTPUT_LIMIT, runForeground } from './foreground.ts';

const host = createMockHost({ clock: systemClock });
const never = new AbortController().signal;
let guest: Guest;
let id = 0;
beforeEach(async () => {
  const spec = {
    id: `cl-${++id}`,
    template: { kind: 'base', name: 'minimal' },
    vcpus: 1,
    memoryMb: 128,
    diskMb: 5120,
    envs: {},
    user: 'root',
  } as const;
  await host.create(spec);
  guest = await host.guest(spec.id);
});
const run = (argv: string[], more: Partial<Parameters<typeof runForeground>[2]> = {}) =>
  runForeground(
    guest,
    { argv },
    { stdin: undefined, timeoutSec: 30, gone: never, clock: systemClock, ...more },
  );

it('separates the streams and keeps the exit code', async () => {
  expect(await run(['sh', '-c', 'echo out; echo err >&2; exit 7'])).toMatchObject({
    stdout: 'out\n',
    stderr: 'err\n',
    exitCode: 7,
    encoding: 'utf-8',
    timedOut: false,
    truncated: false,
  });
});

it('feeds stdin, also to a command that does not read it', async () => {
  expect(await run(['cat'], { stdin: 'héllo' })).toMatchObject({ stdout: 'héllo', exitCode: 0 });
  expect(await run(['true'], { stdin: 'unread' })).toMatchObject({ exitCode: 0 });
  expect(await run(['cat'])).toMatchObject({ stdout: '', exitCode: 0 });
});

it('uses base64 for both streams when one is no text', async () => {
  expect(await run(['sh', '-c', 'printf "\\x00\\xff"; echo err >&2'])).toMatchObject({
    stdout: 'AP8=',
    stderr: Buffer.from('err\n').toString('base64'),
    encoding: 'base64',
  });
});

it('kills what takes too long and keeps what it said', async () => {
  const clock = createFakeClock();
  const pending = run(['sh', '-c', 'echo before; sleep 600'], { clock, timeoutSec: 2 });
  await expect.poll(() => clock.sleepers).toBe(1);
  await expect.poll(async () => (await guest.processes()).length).toBe(1);
  await clock.advance(2000);
  expect(await pending).toMatchObject({
    stdout: 'before\n',
    exitCode: 124,
    timedOut: true,
    durationMs: 2000,
  });
  expect(await guest.processes()).toEqual([]);
});

it('drops output over the limit and lets the command end', async () => {
  const result = await run(['head', '-c', String(OUTPUT_LIMIT + 100_000), '/dev/zero']);
  expect(result).toMatchObject({ exitCode: 0, truncated: true });
  expect(result.stdout.length).toBe(OUTPUT_LIMIT);
});

it('kills the command when its caller is gone', async () => {
  const gone = new AbortController();
  const pending = run(['sleep', '600'], { gone: gone.signal });
  await expect.poll(async () => (await guest.processes()).length).toBe(1);
  gone.abort(new Error('gone'));
  expect(await pending).toMatchObject({ exitCode: 137 });
});

it('says so when the capsule dies meanwhile', async () => {
  const pending = run(['sleep', '600']);
  pending.catch(() => undefined);
  await expect.poll(async () => (await guest.processes()).length).toBe(1);
  host.kill(`cl-${id}`, 'out of memory');
  const error = await pending.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(AviaryError);
  expect((error as AviaryError).code).toBe('capsule_lost');
});
