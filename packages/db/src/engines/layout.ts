/**
 * Where a supervised cluster lives: its directory must be within reach of the user PostgreSQL runs as, and its
 * socket's path must fit in `sockaddr_un` (108 bytes, unix(7)). Used by the supervised engine only.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readlink, realpath, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { canReach, type RunAs } from './run-as.ts';

export interface Layout {
  /** Holds `cluster/` (PGDATA), the server's log and the supervisor's note. Owned by the server's user. */
  home: string;
  /** PGDATA; may not exist yet. */
  cluster: string;
  /** Directory of the unix socket, mode 0700. */
  socketDir: string;
  /** Where a copy of the programs goes if one is needed. */
  cacheDir: string;
}

/** Makes the directories. Error: `internal` when somebody else's directory stands where the socket belongs. */
export async function prepareLayout(dataDir: string, user: RunAs): Promise<Layout> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const real = await realpath(dataDir);
  const hash = createHash('sha256').update(real).digest('hex').slice(0, 12);
  const home = await prepareHome(real, hash, user);
  const socketDir = user.other ? `/run/aviary-${hash}` : join(tmpdir(), `aviary-${user.uid}-${hash}`);
  await privateDir(socketDir, user);
  if (`${socketDir}/.s.PGSQL.5432`.length > 107) {
    throw new AviaryError('internal', `${socketDir}: too long for a socket; set TMPDIR to a shorter path`);
  }
  return {
    home,
    cluster: join(home, 'cluster'),
    socketDir,
    cacheDir: user.other ? '/var/cache/aviary' : join(real, 'cache'),
  };
}

async function prepareHome(dataDir: string, hash: string, user: RunAs): Promise<string> {
  const wanted = join(dataDir, 'postgres');
  const there = await lstat(wanted).catch(() => null);
  if (there?.isSymbolicLink()) {
    const target = await readlink(wanted);
    await privateDir(target, user);
    return target;
  }
  if (there === null && user.other && !(await canReach(dataDir, user))) {
    const away = join('/var/lib/aviary-postgres', hash);
    await mkdir('/var/lib/aviary-postgres', { recursive: true, mode: 0o755 });
    await privateDir(away, user);
    await symlink(away, wanted);
    return away;
  }
  // the secrets in our own directory are files of mode 0600, so others may pass through it
  if (user.other) await chmod(dataDir, (await stat(dataDir)).mode | 0o011);
  await privateDir(wanted, user);
  return wanted;
}

/** A directory of `user` that nobody else enters. A planted one (in a shared tmp) is refused. */
async function privateDir(path: string, user: RunAs): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const made = await lstat(path);
  const ours = made.isDirectory() && (made.uid === user.uid || made.uid === process.getuid?.());
  if (!ours) throw new AviaryError('internal', `${path} belongs to somebody else: remove it`);
  if (user.other) await chown(path, user.uid, user.gid);
  await chmod(path, 0o700);
}
