/** Module discovery and order, on files made here in the form of the kernel's. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { builtinModules, dependsOn, findModules, loadOrder } from './modules.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aviary-modules-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function addModule(path: string, depends: string): void {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), `\x7fELF…\0license=GPL\0depends=${depends}\0name=x\0`);
}

const names = (paths: string[]) => paths.map((path) => basename(path));

test('each module comes after what it depends on, and once', async () => {
  addModule('drivers/virtio-net.ko', 'net-failover,virtio');
  addModule('net/net_failover.ko', 'failover');
  addModule('net/failover.ko', '');
  addModule('drivers/virtio.ko', '');
  const order = await loadOrder(['virtio_net', 'virtio', 'failover'], await findModules(root), new Set());
  expect(names(order)).toEqual(['failover.ko', 'net_failover.ko', 'virtio.ko', 'virtio-net.ko']);
});

test('what the kernel has built in is left out', async () => {
  addModule('drivers/blk.ko', 'virtio');
  const builtin = builtinModules('kernel/drivers/virtio.ko\nkernel/fs/ext4/ext4.ko\n');
  expect(builtin).toEqual(new Set(['virtio', 'ext4']));
  expect(names(await loadOrder(['ext4', 'blk'], await findModules(root), builtin))).toEqual(['blk.ko']);
});

test('a module that the kernel lacks is named', async () => {
  addModule('drivers/blk.ko', 'virtio');
  await expect(loadOrder(['blk'], await findModules(root), new Set())).rejects.toMatchObject({
    code: 'missing_dependency',
    message: expect.stringContaining('virtio'),
  });
});

test('a file without the section depends on nothing', () => {
  expect(dependsOn(Buffer.from('\x7fELF'))).toEqual([]);
});
