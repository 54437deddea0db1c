/**
 * The image store: what a host needs on disk before it can start capsules, built on demand and kept. Drivers
 * use it through index.ts. Everything is under `cacheDir`, which several processes may share.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@aviary/kernel';
import type { HostProgress } from '@aviary/protocol';
import { ensureInitramfs, type InitramfsImage } from './initramfs.ts';
import { ensureKernel, type KernelImage } from './kernel.ts';
import { ensureRootfs, type RootfsImage } from './rootfs.ts';

export interface ImageStoreOptions {
  /** Directory of the finished images; see {@link defaultCacheDir}. */
  cacheDir: string;
  /** The guest agent: a static executable, packed as /init. */
  agentPath: string;
  log: Logger;
  /** Told at each step of a build; never for what is there already. */
  onProgress?: (progress: HostProgress) => void;
}

/**
 * Each call resolves when the thing is there, building it first when needed; concurrent calls share one
 * build. Errors: missing_dependency (names the package to install), host_unavailable (quotes what failed),
 * template_not_found (no recipe of that name). After an error the next call tries again.
 */
export interface ImageStore {
  /** What was chosen once is kept, so that templates stay valid; `refresh` chooses the newest again. */
  ensureKernel(options?: { refresh?: boolean }): Promise<KernelImage>;
  /** For {@link ensureKernel}'s kernel. */
  ensureInitramfs(): Promise<InitramfsImage>;
  /** `name` is a directory of guest/images/. */
  ensureRootfs(name: string): Promise<RootfsImage>;
}

/** `AVIARY_CACHE`, or .cache/ in the source tree: shared by the product and all test suites. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['AVIARY_CACHE'] || fileURLToPath(new URL('../../../../.cache', import.meta.url)));
}

/** A store over `cacheDir`; nothing happens until it is asked. */
export function createImageStore(options: ImageStoreOptions): ImageStore {
  const { cacheDir, log } = options;
  const report = (step: string, percent: number | null) => {
    log.info({ percent }, step);
    options.onProgress?.({ step, percent });
  };
  const pending = new Map<string, Promise<unknown>>();
  /** One build at a time per subject in this process; forgotten when it settles. */
  const once = <T>(subject: string, build: () => Promise<T>): Promise<T> => {
    const running = pending.get(subject) as Promise<T> | undefined;
    if (running !== undefined) return running;
    const started = build().finally(() => pending.delete(subject));
    pending.set(subject, started);
    return started;
  };
  const kernel = ({ refresh = false } = {}) =>
    once(`kernel ${refresh}`, () => ensureKernel(cacheDir, report, refresh));
  return {
    ensureKernel: kernel,
    ensureInitramfs: () =>
      once('initramfs', async () => ensureInitramfs(cacheDir, await kernel(), options.agentPath, report)),
    ensureRootfs: (name) => once(`rootfs ${name}`, () => ensureRootfs(cacheDir, name, report)),
  };
}
