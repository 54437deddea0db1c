/**
 * The keys that sign sessions: Ed25519, kept in the database so that all replicas share them, the private part
 * sealed. Exactly one signs; retired ones verify until the last token they signed has expired. Inside the area.
 */
import type { Database, Trx } from '@aviary/db';
import { isUniqueViolation } from '@aviary/db';
import { AviaryError, type Clock, type RandomBytes, randomHex } from '@aviary/kernel';
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { SESSION_SEC } from './model.ts';
import type { Sealer } from './secrets.ts';

export interface SigningKeys {
  /** The key that signs now. */
  active(): Promise<{ kid: string; key: CryptoKey }>;
  /** Public part of a key that may still verify; null when there is none. */
  verifier(kid: string): Promise<CryptoKey | null>;
  /** Makes the first key if there is none. */
  ensure(): Promise<void>;
  /** Retires the signing key and makes the next one, in the caller's transaction. */
  rotate(trx: Trx): Promise<string>;
  /** Reads them again at the next use. */
  forget(): void;
}

interface Ring {
  active: { kid: string; key: CryptoKey };
  verifiers: Map<string, CryptoKey>;
}

/** An unknown kid makes us look again, at most this often (ms): anybody can send unknown kids. */
const LOOK_AGAIN_MS = 2_000;

export function createSigningKeys(deps: {
  db: Database;
  sealer: Sealer;
  clock: Clock;
  random: RandomBytes;
}): SigningKeys {
  const { db, sealer, clock, random } = deps;
  let ring: Promise<Ring> | null = null;
  let readAt = Number.NEGATIVE_INFINITY;

  const read = async (): Promise<Ring> => {
    const oldest = new Date(clock.now().getTime() - SESSION_SEC * 1000);
    const rows = await db.kysely
      .selectFrom('signing_key')
      .selectAll()
      .where((eb) => eb.or([eb('retired_at', 'is', null), eb('retired_at', '>', oldest)]))
      .execute();
    const verifiers = new Map<string, CryptoKey>();
    for (const row of rows) verifiers.set(row.kid, await imported(row.public_jwk));
    const signer = rows.find((row) => row.retired_at === null);
    if (signer === undefined) throw new AviaryError('internal', 'there is no signing key');
    const secret = JSON.parse(sealer.unseal(signer.private_sealed, signer.kid).toString()) as JWK;
    return { active: { kid: signer.kid, key: await imported(secret) }, verifiers };
  };
  const current = (): Promise<Ring> => {
    if (ring === null) {
      readAt = clock.monotonicMs();
      const reading = read();
      ring = reading;
      reading.catch(() => {
        if (ring === reading) ring = null;
      });
    }
    return ring;
  };
  const insert = async (trx: Trx | Database['kysely']): Promise<string> => {
    const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const kid = `sig-${randomHex(8, random)}`;
    const secret = Buffer.from(JSON.stringify(await exportJWK(pair.privateKey)));
    const { kty = '', crv = '', x = '' } = await exportJWK(pair.publicKey);
    await trx
      .insertInto('signing_key')
      .values({
        kid,
        public_jwk: { kty, crv, x },
        private_sealed: sealer.seal(secret, kid),
        created_at: clock.now(),
        retired_at: null,
      })
      .execute();
    return kid;
  };

  return {
    active: async () => (await current()).active,
    verifier: async (kid) => {
      const known = (await current()).verifiers.get(kid);
      if (known !== undefined) return known;
      if (clock.monotonicMs() - readAt < LOOK_AGAIN_MS) return null;
      ring = null;
      return (await current()).verifiers.get(kid) ?? null;
    },
    ensure: async () => {
      const one = await db.kysely
        .selectFrom('signing_key')
        .select('kid')
        .where('retired_at', 'is', null)
        .executeTakeFirst();
      if (one === undefined) {
        await insert(db.kysely).catch((error: unknown) => {
          // another replica was first: its key is ours too
          if (!isUniqueViolation(error, 'signing_key_one_active')) throw error;
        });
      }
      await current();
    },
    rotate: async (trx) => {
      await trx
        .updateTable('signing_key')
        .set({ retired_at: clock.now() })
        .where('retired_at', 'is', null)
        .execute();
      return insert(trx);
    },
    forget: () => {
      ring = null;
    },
  };
}

async function imported(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, 'EdDSA');
  if (key instanceof Uint8Array) throw new AviaryError('internal', 'a signing key is not asymmetric');
  return key;
}
