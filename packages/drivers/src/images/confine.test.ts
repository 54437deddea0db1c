/** A build ends with the process that wanted it, even when that is killed and can do nothing about it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inOwnNamespaces, removeTree, withAllOwners } from './confine.ts';

/** Is there a live process with exactly these arguments? */
function runs(...argv: string[]): boolean {
  const wanted = `${argv.join('\0')}\0`;
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'latin1') === wanted;
    } catch {
      return false; // It ended while we looked.
    }
  });
}

test('in its own namespaces, all of it dies with us', async () => {
  await diesWithItsParent(inOwnNamespaces, '98761.25');
});

test('able to give owners, it dies with us', async () => {
  await diesWithItsParent(withAllOwners, '98762.25');
});

async function diesWithItsParent(confine: typeof withAllOwners, seconds: string): Promise<void> {
  const argv = confine('sleep', seconds);
  const script = `require('child_process').spawn(${JSON.stringify(argv[0])}, ${JSON.stringify(argv.slice(1))});
    setInterval(() => {}, 1e6);`;
  const parent = spawn(process.execPath, ['-e', script]);
  await expect.poll(() => runs('sleep', seconds), { timeout: 10_000 }).toBe(true);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await expect.poll(() => runs('sleep', seconds), { timeout: 10_000 }).toBe(false);
}

test('removes a tree, and a missing one', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aviary-confine-'));
  mkdirSync(join(dir, 'a', 'b'), { recursive: true });
  writeFileSync(join(dir, 'a', 'b', 'c'), '');
  await removeTree(join(dir, 'a'));
  expect(readdirSync(dir)).toEqual([]);
  await removeTree(join(dir, 'a'));
  rmSync(dir, { recursive: true });
});
