/** A QEMU host for tests: images from the shared cache, a data directory of its own. For tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@aviary/kernel';
import { ensureAgent } from '../../../../guest/build-agent.mjs';
import { createImageStore, defaultCacheDir } from '../images/index.ts';
import { createQemuHost, type QemuHost } from './index.ts';

/** Opens a host on `dataDir`; the same directory again finds what the first left. */
export async function openTestHost(dataDir: string, poolSize = 0): Promise<QemuHost> {
  const cacheDir = defaultCacheDir();
  const agentPath = join(cacheDir, 'agent');
  await ensureAgent(agentPath);
  const store = createImageStore({ cacheDir, agentPath, log: silentLogger });
  return createQemuHost({
    dataDir,
    cacheDir,
    poolSize,
    log: silentLogger,
    images: {
      kernel: async () => (await store.ensureKernel()).vmlinuz,
      initramfs: async () => (await store.ensureInitramfs()).path,
      rootfs: async (name) => (await store.ensureRootfs(name)).path,
    },
  });
}

/** A data directory; `remove` also ends every capsule that is left in it. */
export async function testDataDir(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'aviary-qemu-'));
  return {
    dir,
    remove: async () => {
      const host = await openTestHost(dir);
      for (const { id } of await host.list()) await host.destroy(id);
      await host.close();
      await rm(dir, { recursive: true });
    },
  };
}
