/** The state directory and the identity of the instance that lives in it. Used by the composition only. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError } from '@aviary/kernel';

/** Makes the directory (0711: other users pass to what is theirs below it, and cannot list it). */
export async function openDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o711 });
    await chmod(dataDir, 0o711);
  } catch (error) {
    throw new AviaryError(
      'permission_denied',
      `the state directory ${dataDir} cannot be made: ${(error as Error).message}; choose another with AVIARY_DATA`,
      { cause: error },
    );
  }
}

/** The id that tells this directory's instance from others on the same database. */
export async function instanceId(dataDir: string): Promise<string> {
  const file = join(dataDir, 'instance-id');
  try {
    await writeFile(file, randomBytes(8).toString('hex'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const id = (await readFile(file, 'utf8')).trim();
  if (/^[0-9a-f]{16}$/.test(id)) return id;
  throw new AviaryError('internal', `${file} does not hold an instance id; restore it or remove it`);
}
