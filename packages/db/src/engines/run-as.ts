/**
 * As whom PostgreSQL runs. It refuses root, and it needs a user with an entry in passwd; so as root it is
 * `postgres`, else `nobody`, and otherwise ourselves. Used by the supervised engine only.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AviaryError } from '@aviary/kernel';

export interface RunAs {
  name: string;
  uid: number;
  gid: number;
  /** False when it is the user we are. */
  other: boolean;
}

/** The user for the server's processes. Error: missing_dependency when root finds neither. */
export async function chooseRunAs(): Promise<RunAs> {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  if (uid !== 0) return { name: 'self', uid, gid, other: false };
  const passwd = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = passwd.find((fields) => fields[0] === name);
    if (entry !== undefined) return { name, uid: Number(entry[2]), gid: Number(entry[3]), other: true };
  }
  throw new AviaryError('missing_dependency', 'PostgreSQL cannot run as root: create a user `postgres`');
}

/** True when `user` may pass through every directory above `path` (or `path` itself, with `itself`). */
export async function canReach(path: string, user: RunAs, itself = false): Promise<boolean> {
  let at = itself ? path : dirname(path);
  for (;;) {
    const { mode, uid, gid } = await stat(at);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
    at = dirname(at);
  }
}
