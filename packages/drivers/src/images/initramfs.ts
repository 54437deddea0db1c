/**
 * The first root of a capsule: the guest agent as /init and the modules it loads. Image store only.
 * Uncompressed: unpacking under emulation costs far more than reading from the page cache that all share.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { ensureEntry, keyOf } from './cache.ts';
import { type CpioEntry, writeCpio } from './cpio.ts';
import type { KernelImage } from './kernel.ts';
import type { Report } from './progress.ts';

/** Raise it when the layout below changes. */
const RECIPE_VERSION = 1;

/** An initramfs in the cache, to boot with exactly `kernel`. */
export interface InitramfsImage {
  /** Changes exactly when the file does. */
  key: string;
  path: string;
  kernel: KernelImage;
}

/** Errors: missing_dependency when there is no agent at `agentPath`. */
export async function ensureInitramfs(
  cacheDir: string,
  kernel: KernelImage,
  agentPath: string,
  report: Report,
): Promise<InitramfsImage> {
  const agent = await readFile(agentPath).catch((cause: unknown) => {
    throw new AviaryError('missing_dependency', `there is no guest agent at ${agentPath}; build it first`, {
      cause,
    });
  });
  const key = keyOf('initramfs', String(RECIPE_VERSION), kernel.key, agent);
  const dir = await ensureEntry(cacheDir, {
    kind: 'initramfs',
    key,
    build: async (building) => {
      report('packing the guest agent', null);
      const modules = await Promise.all(
        kernel.modules.map(async (path) => ({ name: basename(path), data: await readFile(path) })),
      );
      await writeFile(join(building, 'initramfs.cpio'), writeCpio(layout(agent, modules)));
    },
  });
  return { key, path: join(dir, 'initramfs.cpio'), kernel };
}

/** What the guest agent finds when it starts: see guest/ for how it uses it. */
export function layout(
  agent: Uint8Array,
  modules: readonly { name: string; data: Uint8Array }[],
): CpioEntry[] {
  const directory = (name: string): CpioEntry => ({ type: 'directory', name, mode: 0o755 });
  const order = modules.map((module) => `${module.name}\n`).join('');
  return [
    ...['proc', 'sys', 'dev', 'newroot', 'm'].map(directory),
    // The kernel opens it for pid 1's standard streams, before anything is mounted on /dev.
    { type: 'character-device', name: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', name: 'init', mode: 0o755, data: agent },
    { type: 'file', name: 'm/order', mode: 0o644, data: Buffer.from(order) },
    ...modules.map(
      (module): CpioEntry => ({ type: 'file', name: `m/${module.name}`, mode: 0o644, data: module.data }),
    ),
  ];
}
