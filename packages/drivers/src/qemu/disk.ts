/** qcow2 files of capsules and templates. Inside the driver only. */
import { constants } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { run } from '../process/index.ts';
import { syncPath } from './layout.ts';

/** An empty overlay over `backing` (`raw` or `qcow2`) of `sizeMb`. */
export async function createOverlay(
  path: string,
  backing: string,
  format: 'raw' | 'qcow2',
  sizeMb: number,
): Promise<void> {
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', format, path, `${sizeMb}M`]);
}

/** A copy that shares blocks where the file system can. */
export async function cloneFile(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

/**
 * Merges an overlay into a copy of the snapshot disk below it, so that the result lies directly over the
 * root image: chains never grow. `overlay` is consumed.
 */
export async function flatten(overlay: string, below: string, out: string): Promise<void> {
  await cloneFile(below, out);
  await run('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', out, overlay]);
  await run('qemu-img', ['commit', '-q', '-f', 'qcow2', overlay], { timeoutMs: 600_000 });
  await rm(overlay);
  await syncPath(out);
}
