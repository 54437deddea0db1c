import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAviaryError } from '@aviary/kernel';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lockDataDir } from './lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aviary-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const me = { pid: process.pid, since: '2026-01-01T00:00:00.000Z' };
const code = (error: unknown) => (isAviaryError(error) ? `${error.code}: ${error.message}` : String(error));

it('is held by one and names the holder to the other', async () => {
  const lock = await lockDataDir(dir, me);
  const refusal = await lockDataDir(dir, { ...me, pid: 1 }).catch(code);
  expect(refusal).toMatch(new RegExp(`^conflict: .*process ${process.pid}, started 2026-01-01`));
  await lock.release();
  await (await lockDataDir(dir, me)).release();
  expect(readdirSync(dir)).toEqual(['instance.lock.2']);
});

it('works where the path is longer than a socket name may be', async () => {
  const deep = join(dir, 'x'.repeat(100), 'y'.repeat(100));
  mkdirSync(deep, { recursive: true });
  const lock = await lockDataDir(deep, me);
  expect(await lockDataDir(deep, me).catch(code)).toContain('in use');
  await lock.release();
});

it('is free again after kill -9, for exactly one of many', async () => {
  const script = `const { lockDataDir } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
    await lockDataDir(${JSON.stringify(dir)}, { pid: process.pid, since: 'then' });
    console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  expect(await lockDataDir(dir, me).catch(code)).toContain(`process ${child.pid}, started then`);
  child.kill('SIGKILL');
  await once(child, 'exit');

  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDir(dir, me)));
  const won = tries.filter((t) => t.status === 'fulfilled');
  expect(won.length).toBe(1);
  expect(await lockDataDir(dir, me).catch(code)).toContain('in use');
  await won[0]?.value.release();
});
