/** What the area's commands are made of; each takes the few it needs. Inside the area. */
import type { Database } from '@aviary/db';
import { AviaryError, type Clock, type RandomBytes } from '@aviary/kernel';
import type { Actor, UserActor } from './actor.ts';
import type { Journal } from './journal.ts';
import type { CredentialLimits, Limiter } from './limits.ts';
import type { IdentityEvent } from './model.ts';
import type { Passwords } from './passwords.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Tokens } from './tokens.ts';

/** What was cached of something is no longer true. */
export type Stale = { account: string } | { team: string } | { key: string };

export interface Parts {
  db: Database;
  journal: Journal<IdentityEvent>;
  clock: Clock;
  random: RandomBytes;
  passwords: Passwords;
  keys: SigningKeys;
  tokens: Tokens;
  /** Who may sign up: everybody, or only whoever is first. */
  signups: 'open' | 'first';
  limiters: Record<keyof CredentialLimits, Limiter>;
  /** Drops it here at once, after the commit; other replicas hear of it by event. */
  stale(what: Stale): void;
}

/** The person. Errors: unauthorized for nobody, forbidden for keys, hosts and the system. */
export function requireUser(actor: Actor): UserActor {
  if (actor.kind === 'user') return actor;
  if (actor.kind === 'nobody') throw new AviaryError('unauthorized', 'log in first');
  throw new AviaryError('forbidden', 'this needs a person with a session');
}
