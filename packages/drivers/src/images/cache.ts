/**
 * A directory of finished things, each under the hash of what went into it. Image builder only.
 * A thing is built in a temporary directory, synced and renamed: it is there whole or not at all, and of
 * several processes that want it one builds and the others wait.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from './confine.ts';
import { acquireLock } from './lock.ts';

export interface CacheOrder {
  /** Kind of thing, the first part of its directory's name. */
  kind: string;
  /** From {@link keyOf}. */
  key: string;
  /** Fills the empty directory `dir`; whatever it leaves there becomes the entry. */
  build: (dir: string) => Promise<void>;
  /** Called once when another process is building and this one waits. */
  onWait?: () => void;
}

/** Hash of what goes into a thing; the order of the parts counts. */
export function keyOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    hash.update(`${part.length}:`).update(part);
  }
  return hash.digest('hex').slice(0, 24);
}

/** The directory of the entry, built now if it is not there. Rejects with what `build` threw. */
export async function ensureEntry(root: string, order: CacheOrder): Promise<string> {
  const dir = join(root, `${order.kind}-${order.key}`);
  if (await exists(dir)) return dir;
  await mkdir(root, { recursive: true });
  const release = await acquireLock(join(root, `${order.kind}.lock`), order.onWait);
  try {
    if (await exists(dir)) return dir;
    await removeLeftovers(root, order.kind);
    const temporary = join(root, `.building-${order.kind}-${process.pid}`);
    await mkdir(temporary, { recursive: true });
    try {
      await order.build(temporary);
      await syncTree(temporary);
      await rename(temporary, dir);
      await sync(root);
    } catch (error) {
      await removeTree(temporary);
      throw error;
    }
    return dir;
  } finally {
    await release();
  }
}

/** What a crashed build left; the caller holds the lock, so nobody is building. */
async function removeLeftovers(root: string, kind: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name.startsWith(`.building-${kind}-`)) await removeTree(join(root, name));
  }
}

/** Syncs every file and directory below `dir`, then itself: after the rename nothing of it may be missing. */
async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await sync(path);
  }
  await sync(dir);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
