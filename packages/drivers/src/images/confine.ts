/**
 * How build programs are started: they end when we end, and have the rights they need without this process
 * being root. Image builder only. Programs of util-linux; the options are those of 2.38 (Debian 12).
 */
import { rm } from 'node:fs/promises';
import { run } from './command.ts';

/** As root, everything is simpler; else a user namespace stands in (needs uidmap and a range in /etc/subuid). */
export const IS_ROOT = process.getuid?.() === 0;

type Argv = [string, ...string[]];

/** A build must not go on when the process that wanted it is gone: the next one starts over. */
const DIES_WITH_US: Argv = ['setpriv', '--pdeathsig', 'KILL'];

/** "root" over our own user and our range of others, where we are not root itself. */
const AS_ROOT = IS_ROOT ? [] : ['--user', '--map-root-user', '--map-auto'];

/** `argv` as root in mount and pid namespaces: mounts and processes of a killed build vanish with them. */
export function inOwnNamespaces(...argv: Argv): Argv {
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return [...DIES_WITH_US, 'unshare', ...AS_ROOT, ...namespaces, ...argv];
}

/** `argv` able to give files any owner. */
export function withAllOwners(...argv: Argv): Argv {
  return [...DIES_WITH_US, ...(IS_ROOT ? [] : ['unshare', ...AS_ROOT]), ...argv];
}

/** Removes `path` and all below it, also what {@link withAllOwners} made; a missing path is fine. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (IS_ROOT || (code !== 'EACCES' && code !== 'EPERM')) throw error;
    await run(withAllOwners('rm', '-rf', path), { what: `remove ${path}` });
  }
}
