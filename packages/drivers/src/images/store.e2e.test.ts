/** The whole build behind the shared cache: a fresh machine builds once, every later suite finds it there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@aviary/kernel';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createImageStore, defaultCacheDir, type ImageStore } from './index.ts';
import { hostSources } from './sources.ts';

let dir: string;
let store: ImageStore;
const steps: string[] = [];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aviary-store-'));
  writeFileSync(join(dir, 'agent'), 'stands for the agent: this suite boots nothing');
  store = createImageStore({
    cacheDir: defaultCacheDir(),
    agentPath: join(dir, 'agent'),
    log: silentLogger,
    onProgress: ({ step }) => steps.push(step),
  });
});
afterAll(() => rmSync(dir, { recursive: true }));

const read = (program: string, ...args: string[]) => {
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  });
  expect(result.error).toBeUndefined();
  return result.stdout;
};

test('the kernel is a kernel and its modules are in a loadable order', async () => {
  const kernel = await store.ensureKernel();
  expect(read('od', '-An', '-c', '-j', '514', '-N', '4', kernel.vmlinuz).replaceAll(' ', '').trim()).toBe(
    'HdrS',
  );
  const names = kernel.modules.map((path) => path.replace(/^.*\//, ''));
  expect(names.indexOf('virtio_ring.ko')).toBeLessThan(names.indexOf('virtio_mmio.ko'));
  expect(names.indexOf('net_failover.ko')).toBeLessThan(names.indexOf('virtio_net.ko'));
  for (const path of kernel.modules) expect(statSync(path).size).toBeGreaterThan(1000);
}, 300_000);

test('the initramfs holds the agent and every module', async () => {
  const initramfs = await store.ensureInitramfs();
  const listed = spawnSync('cpio', ['-t', '--quiet', '-F', initramfs.path], { encoding: 'utf8' }).stdout;
  expect(listed).toContain('init\n');
  for (const path of initramfs.kernel.modules) expect(listed).toContain(path.replace(/^.*\//, 'm/'));
}, 300_000);

test('the root file system is clean, sparse, can grow, and keeps nothing of the building machine', async () => {
  const image = await store.ensureRootfs('minimal');
  expect(statSync(image.path).size).toBe(image.sizeBytes);
  expect(statSync(image.path).blocks * 512).toBeLessThan(400 * 2 ** 20);
  expect(spawnSync('/usr/sbin/e2fsck', ['-fn', image.path]).status).toBe(0);
  const cat = (path: string) => read('debugfs', '-R', `cat ${path}`, image.path);
  expect(cat('/etc/passwd')).toContain('user:x:1000:1000::/home/user:/bin/bash');
  for (const source of await hostSources('bookworm')) expect(cat('/etc/apt/sources.list')).toContain(source);
  expect(read('debugfs', '-R', 'ls -p /etc/apt/apt.conf.d', image.path)).not.toContain('mmdebstrap');
  expect(read('debugfs', '-R', 'ls -p /usr/local/share/ca-certificates', image.path)).not.toContain('.crt');
  expect(read('dumpe2fs', '-h', image.path)).toMatch(/Reserved GDT blocks:\s+1\d\d/);
}, 600_000);

test('a second store finds everything and reports no step', async () => {
  await Promise.all([store.ensureInitramfs(), store.ensureRootfs('minimal')]);
  steps.length = 0;
  await Promise.all([store.ensureInitramfs(), store.ensureRootfs('minimal')]);
  expect(steps).toEqual([]);
}, 600_000);

test('an unknown image and a missing agent are said to be so', async () => {
  await expect(store.ensureRootfs('no-such')).rejects.toMatchObject({ code: 'template_not_found' });
  const without = createImageStore({
    cacheDir: defaultCacheDir(),
    agentPath: join(dir, 'absent'),
    log: silentLogger,
  });
  await expect(without.ensureInitramfs()).rejects.toMatchObject({ code: 'missing_dependency' });
}, 300_000);
