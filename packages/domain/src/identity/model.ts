/** Accounts, teams, keys and sessions: types, bounds and events of the area. Pure. */

import type { PlatformRole, TeamRole } from './actor.ts';
import type { EventOf } from './journal.ts';

/** Session tokens live this long, seconds (contract: 6 hours). */
export const SESSION_SEC = 6 * 3600;

export interface Account {
  /** `usr-…` */
  id: string;
  /** As written at signup; unique whatever its case. */
  email: string;
  /** 3-32 of a-z A-Z 0-9 . _ -, starting with a letter or digit; unique whatever its case. */
  username: string;
  /** Shown name, 1-100 characters. */
  name: string;
  platformRole: PlatformRole;
  createdAt: Date;
}

export interface Team {
  /** `team-…` */
  id: string;
  /** 1-128 of A-Z a-z 0-9 space _ */
  name: string;
  /** `xxxxxx-yyyyyy` (hex), never changes, never reused. */
  slug: string;
  createdAt: Date;
}

export interface TeamWithRole extends Team {
  role: TeamRole;
}

export interface TeamMember {
  accountId: string;
  email: string;
  name: string;
  role: TeamRole;
  joinedAt: Date;
}

export interface ApiKey {
  /** `key-…` */
  id: string;
  teamId: string;
  name: string;
  /** First 8 characters of the key's random part with its prefix, e.g. `wrn_ab12cd34...`. */
  prefix: string;
  createdBy: string;
  createdAt: Date;
  /** Null until first used; accurate to about 10 s. */
  lastUsedAt: Date | null;
}

/** A key at the only moment its text is known. */
export interface NewApiKey extends ApiKey {
  key: string;
}

/** What signup, login and switchTeam answer. */
export interface Session {
  /** Signed token (JWT, EdDSA) for this account in this team. */
  token: string;
  expiresAt: Date;
  account: Account;
  team: TeamWithRole;
}

/** A credential as a surface found it in a request. */
export type Credential = { kind: 'jwt'; token: string } | { kind: 'apiKey'; key: string };

/** Type -> data of the area's events. */
export interface IdentityEventData {
  'account.created': { email: string; username: string; platformRole: PlatformRole };
  'account.password_changed': Record<string, never>;
  /** All sessions of the account (resource) died. */
  'session.revoked': { epoch: number };
  'team.created': { name: string; slug: string };
  'team.renamed': { name: string };
  'team.deleted': Record<string, never>;
  /** `accountId` is whom it concerns; the resource is the team. */
  'team.member_added': { accountId: string; role: TeamRole };
  'team.member_role_changed': { accountId: string; role: TeamRole };
  'team.member_removed': { accountId: string };
  'apikey.created': { name: string; prefix: string };
  'apikey.deleted': { name: string };
  'signing_key.rotated': Record<string, never>;
}

export type IdentityEvent = EventOf<IdentityEventData>;
