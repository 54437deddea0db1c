/**
 * The capsules' kernel: Debian's cloud kernel, unpacked into the cache and never installed (installing it
 * would generate an initramfs and touch the machine's boot loader). Image store only.
 */
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { createApt, type PackageVersion } from './apt.ts';
import { ensureEntry, keyOf } from './cache.ts';
import { run } from './command.ts';
import { acquireLock } from './lock.ts';
import { builtinModules, CAPSULE_MODULES, findModules, loadOrder } from './modules.ts';
import type { Report } from './progress.ts';

/** Raise it when what is kept of the package changes. */
const RECIPE_VERSION = 1;

/** Debian release the kernel is from, whatever the host's: the one all boot measurements were taken with. */
const SUITE = 'bookworm';

/** File of the cache that names the chosen kernel. */
const CHOICE = 'kernel.json';

/** A kernel in the cache. */
export interface KernelImage {
  /** Changes exactly when the files do. */
  key: string;
  /** Debian package and its version. */
  package: string;
  version: string;
  /** Path of the compressed kernel (bzImage on x86). */
  vmlinuz: string;
  /** Paths of the modules to load, in this order. */
  modules: string[];
}

/** What of a {@link KernelImage} stands in its directory; paths are relative to it. */
type Manifest = Omit<KernelImage, 'key'>;

/** Debian's name of the processor; capsules have the one of their host. */
const DEBIAN_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * The kernel, downloaded and unpacked if it is not there. What was chosen once is kept, so that templates
 * stay valid, until `refresh` asks for the newest one.
 * Errors: missing_dependency (no such package, no dpkg-deb), host_unavailable (the download failed).
 */
export async function ensureKernel(cacheDir: string, report: Report, refresh = false): Promise<KernelImage> {
  const chosen = refresh ? undefined : await readChosen(cacheDir);
  if (chosen !== undefined) return chosen;
  await mkdir(cacheDir, { recursive: true });
  const release = await acquireLock(join(cacheDir, 'kernel-choice.lock'), () =>
    report('waiting for another process that chooses a kernel', null),
  );
  try {
    const meanwhile = refresh ? undefined : await readChosen(cacheDir);
    return meanwhile ?? (await chooseNewest(cacheDir, report));
  } finally {
    await release();
  }
}

/** Makes the newest kernel the chosen one; the caller holds the lock of the choice. */
async function chooseNewest(cacheDir: string, report: Report): Promise<KernelImage> {
  const arch = DEBIAN_ARCH[process.arch];
  if (arch === undefined) {
    throw new AviaryError('missing_dependency', `Debian has no cloud kernel for ${process.arch}`);
  }
  report('looking for the newest cloud kernel', null);
  const state = join(cacheDir, '.apt');
  const apt = await createApt(SUITE, state);
  const wanted = await apt.resolve(`linux-image-cloud-${arch}`, 'linux-image-');
  const key = keyOf('kernel', String(RECIPE_VERSION), wanted.name, wanted.version);
  await ensureEntry(cacheDir, {
    kind: 'kernel',
    key,
    build: async (dir) => {
      report(`downloading ${wanted.name} ${wanted.version}`, null);
      const deb = await apt.download(wanted, dir);
      report(`unpacking ${wanted.name}`, null);
      await unpack(deb, dir, wanted);
    },
  });
  await rm(state, { recursive: true, force: true });
  const pointer = join(cacheDir, CHOICE);
  await writeFile(`${pointer}.new`, JSON.stringify({ key }), { flush: true });
  await rename(`${pointer}.new`, pointer);
  return readKernel(cacheDir, key);
}

/** Keeps vmlinuz, the modules and a manifest of the package; the rest (250 MB of drivers) goes. */
async function unpack(deb: string, dir: string, wanted: PackageVersion): Promise<void> {
  const tree = join(dir, 'tree');
  await run(['dpkg-deb', '--extract', deb, tree], { what: `unpack ${wanted.name}` });
  const release = wanted.name.replace(/^linux-image-/, '').replace(/-unsigned$/, '');
  await copyFile(join(tree, 'boot', `vmlinuz-${release}`), join(dir, 'vmlinuz'));
  const libModules = await modulesDirectory(tree, release);
  const builtin = builtinModules(await readFile(join(libModules, 'modules.builtin'), 'utf8'));
  const order = await loadOrder(CAPSULE_MODULES, await findModules(libModules), builtin);
  await mkdir(join(dir, 'modules'));
  for (const path of order) await copyFile(path, join(dir, 'modules', basename(path)));
  const manifest: Manifest = {
    package: wanted.name,
    version: wanted.version,
    vmlinuz: 'vmlinuz',
    modules: order.map((path) => join('modules', basename(path))),
  };
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest, null, 2));
  await rm(tree, { recursive: true });
  await rm(deb);
}

/** /lib/modules/VERSION, or /usr/lib/modules/VERSION in packages made for a merged /usr. */
async function modulesDirectory(tree: string, release: string): Promise<string> {
  for (const prefix of ['lib', 'usr/lib']) {
    const path = join(tree, prefix, 'modules', release);
    const names = await readdir(path).catch(() => []);
    if (names.length > 0) return path;
  }
  throw new AviaryError('missing_dependency', `the kernel package has no modules for ${release}`);
}

async function readKernel(cacheDir: string, key: string): Promise<KernelImage> {
  const dir = join(cacheDir, `kernel-${key}`);
  const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as Manifest;
  return {
    ...manifest,
    key,
    vmlinuz: join(dir, manifest.vmlinuz),
    modules: manifest.modules.map((path) => join(dir, path)),
  };
}

/** The kernel chosen before, or undefined when none was, or when somebody removed its directory since. */
async function readChosen(cacheDir: string): Promise<KernelImage | undefined> {
  try {
    const { key } = JSON.parse(await readFile(join(cacheDir, CHOICE), 'utf8')) as { key: string };
    return await readKernel(cacheDir, key);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
