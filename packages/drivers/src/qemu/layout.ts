/**
 * Where the QEMU driver keeps things, and how it writes them. Inside the driver only.
 *
 *   <data>/images/<hash>.ext4                  root file systems, linked from the image cache
 *   <data>/templates/<key>/                    mem, devices, seed.qcow2, template.json; a snapshot's disk.qcow2
 *   <data>/capsules/<id>/                      one capsule: capsule.json, disk.qcow2, run/, pause/
 *   <data>/pool/<n>/                           the same before it has a name; renamed when claimed
 *
 * A directory whose json file is missing is not whole and is removed at start.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomHex } from '@aviary/kernel';

export interface Layout {
  root: string;
  images: string;
  templates: string;
  capsules: string;
  pool: string;
  trash: string;
  jail: string;
}

/** The directories under `root`, made when missing. */
export async function createLayout(root: string): Promise<Layout> {
  const layout: Layout = {
    root,
    images: join(root, 'images'),
    templates: join(root, 'templates'),
    capsules: join(root, 'capsules'),
    pool: join(root, 'pool'),
    trash: join(root, 'trash'),
    jail: join(root, 'jail'),
  };
  // Nobody but us enters `root`; what is bound into a jail below it is open to the jail's own user.
  await mkdir(root, { recursive: true, mode: 0o700 });
  for (const dir of Object.values(layout))
    if (dir !== root) await mkdir(dir, { recursive: true, mode: 0o755 });
  return layout;
}

/** Files of one capsule directory. */
export interface CapsulePaths {
  dir: string;
  json: string;
  disk: string;
  log: string;
  run: string;
  runJson: string;
  qmp: string;
  ctl: string;
  bulk: string;
  pause: string;
  pauseJson: string;
  pages: string;
  devices: string;
}

export function capsulePaths(dir: string): CapsulePaths {
  const run = join(dir, 'run');
  const pause = join(dir, 'pause');
  return {
    dir,
    json: join(dir, 'capsule.json'),
    disk: join(dir, 'disk.qcow2'),
    log: join(dir, 'qemu.log'),
    run,
    runJson: join(dir, 'run.json'),
    qmp: join(run, 'qmp.sock'),
    ctl: join(run, 'ctl.sock'),
    bulk: join(run, 'bulk.sock'),
    pause,
    pauseJson: join(pause, 'pause.json'),
    pages: join(pause, 'pages'),
    devices: join(pause, 'devices'),
  };
}

/** Files of one template directory. */
export interface TemplatePaths {
  dir: string;
  json: string;
  mem: string;
  devices: string;
  /** Written disk of a snapshot, relative to the root image; a base has none. */
  disk: string;
  /** What the disk of a new capsule is copied from. */
  seed: string;
  /** There when the template was deleted and lives on only for capsules made from it. */
  removed: string;
}

export function templatePaths(dir: string): TemplatePaths {
  return {
    dir,
    json: join(dir, 'template.json'),
    mem: join(dir, 'mem'),
    devices: join(dir, 'devices'),
    disk: join(dir, 'disk.qcow2'),
    seed: join(dir, 'seed.qcow2'),
    removed: join(dir, 'removed'),
  };
}

/** Writes JSON so that a reader sees the old or the new content; `durable` also survives power loss. */
export async function writeJson(path: string, value: unknown, durable: boolean): Promise<void> {
  const temporary = `${path}.${randomHex(4)}.part`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(value)}\n`);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (durable) await syncPath(dirname(path));
}

/** Parsed JSON, or null when there is no such file. */
export async function readJson<T>(path: string): Promise<T | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Makes what was written to a file, or the names in a directory, survive power loss. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Takes a directory out of sight at once (one rename) and then removes it; unknown paths are fine. */
export async function discard(layout: Layout, dir: string): Promise<void> {
  const hidden = join(layout.trash, randomHex(8));
  try {
    await rename(dir, hidden);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(hidden, { recursive: true, force: true });
}
