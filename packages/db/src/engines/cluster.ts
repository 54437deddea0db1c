/** Makes a cluster's directory, and says which version made one. Used by the supervised engine only. */
import { execFile } from 'node:child_process';
import { readFile, rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { AviaryError } from '@aviary/kernel';
import type { Binaries } from './binaries.ts';
import type { Layout } from './layout.ts';
import type { RunAs } from './run-as.ts';

const run = promisify(execFile);

/** Major version that made the cluster, null when there is none yet. */
export async function clusterMajor(cluster: string): Promise<number | null> {
  const text = await readFile(`${cluster}/PG_VERSION`, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return text === null ? null : Number.parseInt(text, 10);
}

/**
 * Makes the cluster under another name first, so that a crash in the middle leaves none. The locale is named
 * outright because initdb fails on a machine whose LANG was never generated. Error: internal.
 */
export async function makeCluster(binaries: Binaries, layout: Layout, user: RunAs): Promise<void> {
  const half = `${layout.cluster}.new`;
  await rm(half, { recursive: true, force: true });
  const locale =
    binaries.major >= 17
      ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--lc-messages=C']
      : ['--locale=C.UTF-8', '--lc-messages=C'];
  const args = [
    '-D',
    half,
    '-U',
    'postgres',
    '-A',
    'trust',
    '--encoding=UTF8',
    '--no-instructions',
    ...locale,
  ];
  try {
    await run(`${binaries.bin}/initdb`, args, {
      cwd: layout.home,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(user.other ? { uid: user.uid, gid: user.gid } : {}),
    });
  } catch (error) {
    throw new AviaryError('internal', `making the database directory ${layout.cluster} failed`, {
      cause: error,
    });
  }
  await rename(half, layout.cluster);
}
