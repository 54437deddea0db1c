/** Session tokens: JWT (RFC 7519) signed with EdDSA (RFC 8037). Says what a token claims, not whether it still counts. */
import { AviaryError, type Clock } from '@aviary/kernel';
import { errors, jwtVerify, SignJWT } from 'jose';
import type { TeamRole } from './actor.ts';
import { SESSION_SEC } from './model.ts';
import type { SigningKeys } from './signing-keys.ts';

/** What a token claims. */
export interface Claims {
  accountId: string;
  teamId: string;
  /** Session epoch of the account when it was signed. */
  epoch: number;
  /** Unix seconds. */
  expires: number;
}

export interface Tokens {
  sign(claims: { accountId: string; teamId: string; role: TeamRole; epoch: number }): Promise<{
    token: string;
    expiresAt: Date;
  }>;
  /** Error: unauthorized (malformed, not ours, expired). */
  read(token: string): Promise<Claims>;
}

const ISSUER = 'aviary';

/** A refused token. The reason is for the person whose token it is, and says nothing about accounts. */
function refused(why: string, cause?: unknown): AviaryError {
  return new AviaryError('unauthorized', `the session token ${why}: log in again`, { cause });
}

/** It was good once; `details.expired` tells it from one that was revoked. */
export function expired(cause?: unknown): AviaryError {
  return new AviaryError('unauthorized', 'the session has expired: log in again', {
    cause,
    details: { expired: true },
  });
}

export function createTokens(keys: SigningKeys, clock: Clock): Tokens {
  return {
    sign: async ({ accountId, teamId, role, epoch }) => {
      const { kid, key } = await keys.active();
      const now = Math.floor(clock.now().getTime() / 1000);
      const token = await new SignJWT({ team: teamId, role, epoch })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid })
        .setSubject(accountId)
        .setIssuer(ISSUER)
        .setIssuedAt(now)
        .setExpirationTime(now + SESSION_SEC)
        .sign(key);
      return { token, expiresAt: new Date((now + SESSION_SEC) * 1000) };
    },
    read: async (token) => {
      try {
        const { payload } = await jwtVerify(
          token,
          async ({ kid }) => {
            const key = kid === undefined ? null : await keys.verifier(kid);
            if (key === null) throw refused('is signed by an unknown key');
            return key;
          },
          { algorithms: ['EdDSA'], issuer: ISSUER, currentDate: clock.now(), requiredClaims: ['sub', 'exp'] },
        );
        const { sub, exp } = payload;
        const { team, epoch } = payload as { team?: unknown; epoch?: unknown };
        if (
          typeof sub !== 'string' ||
          typeof team !== 'string' ||
          typeof epoch !== 'number' ||
          exp === undefined
        ) {
          throw refused('lacks a claim');
        }
        return { accountId: sub, teamId: team, epoch, expires: exp };
      } catch (error) {
        if (error instanceof errors.JWTExpired) throw expired(error);
        if (error instanceof errors.JOSEError) throw refused('is not valid', error);
        throw error;
      }
    },
  };
}
