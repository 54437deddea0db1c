/** The cache's promises: whole or absent, built once, also between processes and after a crash. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureEntry, keyOf } from './cache.ts';
import { run } from './command.ts';
import { acquireLock } from './lock.ts';
import { requirePrograms } from './programs.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aviary-cache-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const order = (build: (dir: string) => Promise<void>) => ({ kind: 'thing', key: 'k', build });

test('builds once and keeps what the build left', async () => {
  let builds = 0;
  const ask = () =>
    ensureEntry(
      root,
      order(async (dir) => {
        builds += 1;
        mkdirSync(join(dir, 'sub'));
        writeFileSync(join(dir, 'sub', 'file'), 'content');
      }),
    );
  const dirs = await Promise.all([ask(), ask(), ask()]);
  expect(new Set([...dirs, await ask()]).size).toBe(1);
  expect(builds).toBe(1);
  expect(readFileSync(join(root, 'thing-k', 'sub', 'file'), 'utf8')).toBe('content');
});

test('a failed build leaves nothing and the next call tries again', async () => {
  const failing = order(async (dir) => {
    writeFileSync(join(dir, 'half'), '');
    throw new Error('disk on fire');
  });
  await expect(ensureEntry(root, failing)).rejects.toThrow('disk on fire');
  expect(readdirSync(root)).toEqual(['thing.lock']);
  await ensureEntry(
    root,
    order(async (dir) => writeFileSync(join(dir, 'whole'), '')),
  );
  expect(readdirSync(join(root, 'thing-k'))).toEqual(['whole']);
});

test('what a crashed build left is never used and goes with the next build', async () => {
  mkdirSync(join(root, '.building-thing-1'));
  writeFileSync(join(root, '.building-thing-1', 'half'), '');
  mkdirSync(join(root, '.building-other-1'));
  await ensureEntry(
    root,
    order(async (dir) => writeFileSync(join(dir, 'whole'), '')),
  );
  expect(existsSync(join(root, '.building-thing-1'))).toBe(false);
  expect(existsSync(join(root, '.building-other-1'))).toBe(true);
});

test('the lock of a killed process is free again', async () => {
  const path = join(root, 'lock');
  // It holds the lock and says so; killed, it cannot release anything itself.
  const script = `import { acquireLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)};
    await acquireLock(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1e6);`;
  const holder = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  let acquired = false;
  const waiting = acquireLock(path).then((release) => {
    acquired = true;
    return release;
  });
  expect(acquired).toBe(false);
  holder.kill('SIGKILL');
  await (await waiting)();
}, 30_000);

test('two holders exclude each other', async () => {
  const path = join(root, 'lock');
  const events: string[] = [];
  const hold = async (name: string) => {
    const release = await acquireLock(path);
    events.push(`+${name}`);
    await new Promise((resolve) => setImmediate(resolve));
    events.push(`-${name}`);
    await release();
  };
  await Promise.all([hold('a'), hold('b'), hold('c')]);
  expect(events).toHaveLength(6);
  for (let i = 0; i < 6; i += 2) expect(events[i + 1]).toBe(events[i]?.replace('+', '-'));
});

test('keys tell apart what is joined differently', () => {
  expect(keyOf('ab', 'c')).not.toBe(keyOf('a', 'bc'));
  expect(keyOf('a')).toBe(keyOf(Buffer.from('a')));
});

test('a missing program is named', async () => {
  await expect(run(['no-such-program'], { what: 'try' })).rejects.toMatchObject({
    code: 'missing_dependency',
  });
});

test('missing programs are named with the packages that have them, before anything starts', () => {
  expect(() => requirePrograms('build', ['mke2fs', 'sh', 'mmdebstrap', 'tar'], root)).toThrow(
    expect.objectContaining({
      code: 'missing_dependency',
      message: expect.stringMatching(
        /^cannot build: mke2fs, sh, mmdebstrap, tar are not installed.*apt-get install .* e2fsprogs mmdebstrap$/,
      ),
    }),
  );
  expect(() => requirePrograms('build', ['sh'])).not.toThrow();
});

test('a failing program is quoted with its last lines only', async () => {
  const failing = run(['sh', '-c', 'for i in $(seq 50); do echo line $i >&2; done; exit 3'], {
    what: 'count',
  });
  await expect(failing).rejects.toMatchObject({
    code: 'host_unavailable',
    message: expect.stringMatching(/^cannot count: sh: exit status 3\nline 39\n[\s\S]*line 50$/),
  });
});
