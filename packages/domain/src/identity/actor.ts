/**
 * Who does something. Every command of every area takes an actor first. Pure; everybody in the domain and the
 * surfaces may use it.
 */
import { AviaryError } from '@aviary/kernel';

/** Role of an account in a team. The owner is exactly one account and never changes. */
export type TeamRole = 'owner' | 'admin' | 'member';

/** Role of an account on the whole installation; the first account is its admin. */
export type PlatformRole = 'admin' | 'user';

/** The acting party, as `authenticate` found it. `ip` is the client's address, null when there is none. */
export type Actor =
  /** No credential was given. */
  | { readonly kind: 'nobody'; readonly ip: string | null }
  /** A person with a session. `teamRole` is null when the account is no longer in the session's team. */
  | {
      readonly kind: 'user';
      readonly accountId: string;
      readonly email: string;
      readonly name: string;
      readonly teamId: string;
      readonly teamRole: TeamRole | null;
      readonly platformRole: PlatformRole;
      readonly ip: string | null;
    }
  /** A team's API key. */
  | {
      readonly kind: 'apiKey';
      readonly keyId: string;
      readonly name: string;
      readonly teamId: string;
      readonly ip: string | null;
    }
  /** A host's agent. */
  | { readonly kind: 'host'; readonly hostId: string; readonly ip: string | null }
  /** The product itself; `part` says which (reaper, recovery, scheduler …). May do everything. */
  | { readonly kind: 'system'; readonly part: string };

export type UserActor = Extract<Actor, { kind: 'user' }>;

/** An actor as events, audit rows and webhooks keep it. */
export interface ActorRef {
  type: 'nobody' | 'user' | 'api_key' | 'host' | 'system';
  /** Id of the account, key or host; the part's name for the system; empty for nobody. */
  id: string;
  /** E-mail of an account, name of a key; else as `id`. */
  name: string;
}

/** The actor, reduced to what may be stored. */
export function actorRef(actor: Actor): ActorRef {
  switch (actor.kind) {
    case 'nobody':
      return { type: 'nobody', id: '', name: '' };
    case 'user':
      return { type: 'user', id: actor.accountId, name: actor.email };
    case 'apiKey':
      return { type: 'api_key', id: actor.keyId, name: actor.name };
    case 'host':
      return { type: 'host', id: actor.hostId, name: actor.hostId };
    case 'system':
      return { type: 'system', id: actor.part, name: actor.part };
  }
}

/** The client's address, null when there is none. */
export function actorIp(actor: Actor): string | null {
  return actor.kind === 'system' ? null : actor.ip;
}

/**
 * The team the actor works in. Errors: unauthorized for nobody; forbidden for a session whose account left
 * the team, and for hosts and the system, which have none.
 */
export function requireTeam(actor: Actor): string {
  if (actor.kind === 'apiKey') return actor.teamId;
  if (actor.kind === 'user' && actor.teamRole !== null) return actor.teamId;
  if (actor.kind === 'nobody') throw new AviaryError('unauthorized', 'log in or send an API key');
  if (actor.kind === 'user') {
    throw new AviaryError('forbidden', 'you are no longer a member of this team; switch to another one');
  }
  throw new AviaryError('forbidden', 'this needs an actor that belongs to a team');
}
