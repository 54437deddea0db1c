/**
 * Secrets at rest: AES-256-GCM under the master key of the data directory, with the id of the record as
 * associated data, so that a sealed value cannot be moved to another record. Areas that store secrets use it.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError, type RandomBytes } from '@aviary/kernel';

export interface Sealer {
  seal(plain: Buffer, recordId: string): Buffer;
  /** Error: internal, when the value is of another record, another master key, or was changed. */
  unseal(sealed: Buffer, recordId: string): Buffer;
}

/** First byte of every sealed value; then 12 bytes nonce, 16 bytes tag, the ciphertext. */
const FORMAT = 1;

/** A sealer for a key of 32 bytes. */
export function createSealer(key: Buffer, random: RandomBytes = randomBytes): Sealer {
  return {
    seal: (plain, recordId) => {
      const nonce = random(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(recordId));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), body]);
    },
    unseal: (sealed, recordId) => {
      try {
        if (sealed[0] !== FORMAT || sealed.length < 29) throw new Error('unknown format');
        const opener = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13), { authTagLength: 16 });
        opener.setAAD(Buffer.from(recordId)).setAuthTag(sealed.subarray(13, 29));
        return Buffer.concat([opener.update(sealed.subarray(29)), opener.final()]);
      } catch (cause) {
        throw new AviaryError(
          'internal',
          `the secret of ${recordId} cannot be opened: is master.key in the data directory the one that sealed it?`,
          { cause },
        );
      }
    },
  };
}

/** Reads `<dataDir>/master.key` (mode 0600), or makes it. Two that make it at once end up with one key. */
export async function masterKey(dataDir: string, random: RandomBytes = randomBytes): Promise<Buffer> {
  const path = join(dataDir, 'master.key');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const there = await readKey(path);
  if (there !== null) return there;
  const half = `${path}.${random(6).toString('hex')}`;
  const file = await open(half, 'wx', 0o600);
  try {
    await file.writeFile(`${random(32).toString('base64')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(half, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(half);
  }
  const made = await readKey(path);
  if (made === null) throw new AviaryError('internal', `${path} vanished`);
  return made;
}

async function readKey(path: string): Promise<Buffer | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== 32) throw new AviaryError('internal', `${path} is not a master key (32 bytes, base64)`);
  return key;
}
