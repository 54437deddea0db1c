/**
 * The only files a confined QEMU sees besides its capsule's: its own program, libraries and firmware, copied
 * once per QEMU version. Inside the driver only.
 */
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomHex } from '@aviary/kernel';
import { run } from '../process/index.ts';
import { INSIDE } from './machine.ts';

/** Where the jail's root of this QEMU lies; `revision` names the version and what this module puts in. */
export async function ensureJailRoot(
  jailDir: string,
  revision: string,
  files: { qemu: string; preload: string; resolvConf: string },
): Promise<string> {
  const root = join(jailDir, revision);
  if (!existsSync(root)) {
    const building = join(jailDir, `${randomHex(4)}.part`);
    await build(building, files);
    await rename(building, root).catch(async (error: NodeJS.ErrnoException) => {
      await rm(building, { recursive: true, force: true });
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }
  await writeFile(join(root, 'etc/resolv.conf'), files.resolvConf);
  return root;
}

async function build(root: string, files: { qemu: string; preload: string }): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o755 });
  for (const dir of [...Object.values(INSIDE), '/etc', '/dev', '/tmp'])
    await mkdir(join(root, dir), { recursive: true });
  for (const node of ['null', 'kvm', 'urandom']) await writeFile(join(root, 'dev', node), '');
  const put = async (path: string, as = path) => {
    const target = join(root, as);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(path, target);
    await chmod(target, 0o755);
  };
  await put(files.qemu);
  await put(files.preload, '/lib/readonly-memory.so');
  for (const library of await sharedLibraries(files.qemu)) await put(library);
  for (const module of await accelerators()) await put(module);
  for (const firmware of ['bios-microvm.bin', 'qboot.rom', 'kvmvapic.bin', 'linuxboot_dma.bin', 'pvh.bin']) {
    const path = join('/usr/share/qemu', firmware);
    if (existsSync(path)) await put(path);
  }
}

/** Paths as the dynamic loader resolves them. */
async function sharedLibraries(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program]);
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!);
}

/** Debian ships the accelerators as modules beside the program. */
async function accelerators(): Promise<string[]> {
  for (const dir of ['/usr/lib/x86_64-linux-gnu/qemu', '/usr/lib/qemu', '/usr/lib64/qemu']) {
    if (!existsSync(dir)) continue;
    return (await readdir(dir)).filter((file) => /^accel-.*\.so$/.test(file)).map((file) => join(dir, file));
  }
  return [];
}
