/**
 * Who sent a request. Runs for every request of every surface, so it works from memory: verified tokens and
 * what the database said about account, membership and key, for 30 s at most and dropped by event.
 */
import { createHash } from 'node:crypto';
import { AviaryError, isAviaryError } from '@aviary/kernel';
import type { Actor } from './actor.ts';
import { type Cache, createCache } from './cache.ts';
import { addressKey } from './limits.ts';
import type { Credential } from './model.ts';
import type { Parts, Stale } from './parts.ts';
import { keyByHash, type SessionState, sessionState } from './queries.ts';
import { type Claims, expired } from './tokens.ts';

/** Milliseconds an answer of the database is believed without an event. */
const TTL = 30_000;
const KEY_FORM = /^wrn_[a-z0-9]{32}$/;

interface KeyState {
  keyId: string;
  name: string;
  teamId: string;
}

export interface Authenticator {
  authenticate(credential: Credential, ip: string | null): Promise<Actor>;
  /** Forgets what is no longer true; everything with null. */
  drop(what: Stale | null): void;
}

/** `used` hears of each use of a key. */
export function createAuthenticator(
  parts: Pick<Parts, 'db' | 'clock' | 'tokens' | 'limiters'>,
  used: (keyId: string) => void,
): Authenticator {
  const { db, clock, tokens, limiters } = parts;
  const claims: Cache<Claims> = createCache({ max: 20_000, ttlMs: 3_600_000, clock });
  const sessions: Cache<SessionState> = createCache({ max: 20_000, ttlMs: TTL, clock });
  const keys: Cache<KeyState> = createCache({ max: 20_000, ttlMs: TTL, clock });

  const asUser = (claim: Claims, state: SessionState, ip: string | null): Actor => {
    if (state.epoch !== claim.epoch) throw refusal('was ended');
    if (claim.expires * 1000 <= clock.now().getTime()) throw expired();
    const { accountId, email, name, teamId, teamRole, platformRole } = state;
    return { kind: 'user', accountId, email, name, teamId, teamRole, platformRole, ip };
  };
  const asKey = ({ keyId, name, teamId }: KeyState, ip: string | null): Actor => {
    used(keyId);
    return { kind: 'apiKey', keyId, name, teamId, ip };
  };

  /** The answer when all of it is in memory; null otherwise. */
  const fromMemory = (credential: Credential, ip: string | null): Actor | null => {
    if (credential.kind === 'apiKey') {
      const state = keys.peek(cacheId(credential.key));
      return state === null ? null : asKey(state, ip);
    }
    const claim = claims.peek(credential.token);
    const state = claim === null ? null : sessions.peek(`${claim.accountId} ${claim.teamId}`);
    return claim === null || state === null ? null : asUser(claim, state, ip);
  };

  const checkSession = async (token: string, ip: string | null): Promise<Actor> => {
    const claim = await claims.get(token, () => tokens.read(token));
    if (claim === null) throw refusal('is not valid');
    const id = `${claim.accountId} ${claim.teamId}`;
    const state = await sessions.get(id, () => sessionState(db.kysely, claim.accountId, claim.teamId));
    if (state === null) throw refusal('was ended');
    return asUser(claim, state, ip);
  };

  const checkKey = async (key: string, ip: string | null): Promise<Actor> => {
    const state = KEY_FORM.test(key)
      ? await keys.get(cacheId(key), () => keyByHash(db.kysely, hashKey(key)))
      : null;
    if (state === null) throw new AviaryError('unauthorized', 'the API key is unknown or was deleted');
    return asKey(state, ip);
  };

  return {
    authenticate: async (credential, ip) => {
      const known = fromMemory(credential, ip);
      if (known !== null) return known;
      return limiters.tokenPerIp.attempt(
        addressKey(ip),
        () => (credential.kind === 'jwt' ? checkSession(credential.token, ip) : checkKey(credential.key, ip)),
        // only a wrong credential counts, not a database that is away
        (error) => isAviaryError(error, 'unauthorized'),
      );
    },
    drop: (what) => {
      sessions.drop(
        (state) => what === null || matches(what, { account: state.accountId, team: state.teamId }),
      );
      keys.drop((state) => what === null || matches(what, { key: state.keyId, team: state.teamId }));
    },
  };
}

function refusal(why: string): AviaryError {
  return new AviaryError('unauthorized', `the session ${why}: log in again`);
}

function matches(what: Stale, value: { account?: string; team?: string; key?: string }): boolean {
  if ('account' in what) return what.account === value.account;
  if ('team' in what) return what.team === value.team;
  return what.key === value.key;
}

/** The memory holds no key's text either. */
function cacheId(key: string): string {
  return hashKey(key).toString('base64');
}

/** Key text -> what is stored of it. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
