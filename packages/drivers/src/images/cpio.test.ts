/** The archive writer, checked with cpio itself where it is installed and against the format's numbers. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeCpio } from './cpio.ts';
import { layout } from './initramfs.ts';

const agent = Buffer.from('#!agent\n');
const modules = [
  { name: 'b.ko', data: Buffer.from('bbb') },
  { name: 'a.ko', data: Buffer.from('aaaaa') },
];

test('cpio lists the initramfs with its modes, devices and sizes', () => {
  const listed = spawnSync('cpio', ['-tv', '--quiet', '--numeric-uid-gid'], {
    input: writeCpio(layout(agent, modules)),
    encoding: 'utf8',
  });
  expect(listed.stderr).toBe('');
  const lines = listed.stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').replace(/ \w{3} \d+ (\d{4}|[\d:]+) /, ' '));
  expect(lines).toEqual([
    'drwxr-xr-x 2 0 0 0 proc',
    'drwxr-xr-x 2 0 0 0 sys',
    'drwxr-xr-x 2 0 0 0 dev',
    'drwxr-xr-x 2 0 0 0 newroot',
    'drwxr-xr-x 2 0 0 0 m',
    'crw------- 1 0 0 5, 1 dev/console',
    '-rwxr-xr-x 1 0 0 8 init',
    '-rw-r--r-- 1 0 0 10 m/order',
    '-rw-r--r-- 1 0 0 3 m/b.ko',
    '-rw-r--r-- 1 0 0 5 m/a.ko',
  ]);
});

test('cpio extracts the bytes that went in, of every length modulo 4', () => {
  const dir = mkdtempSync(join(tmpdir(), 'aviary-cpio-'));
  try {
    const names = ['a', 'ab', 'abc', 'abcd', 'abcde'];
    const archive = writeCpio(
      names.map((name) => ({ type: 'file', name, mode: 0o640, data: Buffer.from(name.repeat(3)) })),
    );
    const result = spawnSync('cpio', ['-i', '--quiet'], { cwd: dir, input: archive, encoding: 'utf8' });
    expect(result.stderr).toBe('');
    for (const name of names) {
      expect(readFileSync(join(dir, name), 'utf8')).toBe(name.repeat(3));
      expect(statSync(join(dir, name)).mode & 0o777).toBe(0o640);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('the same input gives the same bytes', () => {
  expect(writeCpio(layout(agent, modules)).equals(writeCpio(layout(agent, modules)))).toBe(true);
});

test('the order file keeps the order of the modules, one name a line', () => {
  const order = layout(agent, modules).find((entry) => entry.name === 'm/order');
  expect(order?.type === 'file' && Buffer.from(order.data).toString()).toBe('b.ko\na.ko\n');
});

test.each(['', '/init', 'a\0b'])('refuses the name %j', (name) => {
  expect(() => writeCpio([{ type: 'directory', name, mode: 0o755 }])).toThrow(RangeError);
});
