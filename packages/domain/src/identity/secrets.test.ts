/** Secrets at rest: bound to their record and their master key. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSealer, masterKey } from './secrets.ts';
import { createWorld } from './testing.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aviary-secrets-'));
});
afterAll(() => rm(dir, { recursive: true }));

describe('a sealed value', () => {
  const sealer = createSealer(randomBytes(32));
  const sealed = sealer.seal(Buffer.from('secret'), 'ch-1');

  it('opens for its record', () => {
    expect(sealer.unseal(sealed, 'ch-1').toString()).toBe('secret');
    expect(sealed.includes('secret')).toBe(false);
  });

  it('opens for no other record, no other key, and not when a byte was changed', () => {
    expect(() => sealer.unseal(sealed, 'ch-2')).toThrow('ch-2');
    expect(() => createSealer(randomBytes(32)).unseal(sealed, 'ch-1')).toThrow('master.key');
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => sealer.unseal(changed, 'ch-1')).toThrow();
    }
    expect(() => sealer.unseal(Buffer.of(1), 'ch-1')).toThrow();
  });
});

describe('the master key', () => {
  it('is made once, also when many start at once, and for its owner only', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => masterKey(dir)));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect((await stat(join(dir, 'master.key'))).mode & 0o777).toBe(0o600);
    expect(await masterKey(dir)).toEqual(keys[0]);
  });

  it('is refused when it is not one', async () => {
    const other = await mkdtemp(join(dir, 'x-'));
    await writeFile(join(other, 'master.key'), 'hello\n');
    await expect(masterKey(other)).rejects.toThrow('not a master key');
  });

  it('is not in the database, and the signing key is not there in clear', async () => {
    const world = await createWorld();
    try {
      const row = await world.db.kysely.selectFrom('signing_key').selectAll().executeTakeFirstOrThrow();
      expect(row.private_sealed.toString('latin1')).not.toContain('"d"');
      const key = Buffer.from(await readFile(join(world.dataDir, 'master.key'), 'utf8'), 'base64');
      expect(createSealer(key).unseal(row.private_sealed, row.kid).toString()).toContain('"d"');
      await rm(join(world.dataDir, 'master.key'));
      await expect(world.replica()).rejects.toThrow('master.key');
    } finally {
      await world.close();
    }
  });
});
