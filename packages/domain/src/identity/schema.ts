/** Tables of the area. Read by `queries.ts`, written by `store.ts`, made by `migrations.ts`. */
import type { Generated } from 'kysely';
import type { PlatformRole, TeamRole } from './actor.ts';

export interface AccountTable {
  id: string;
  email: string;
  /** Lower case; what is unique and looked up. */
  email_key: string;
  username: string;
  username_key: string;
  name: string;
  /** Argon2id, PHC string format. */
  password_hash: string;
  platform_role: PlatformRole;
  /** Tokens carry it; tokens of an earlier one are dead. */
  session_epoch: Generated<number>;
  created_at: Date;
}

export interface TeamTable {
  id: string;
  name: string;
  slug: string;
  created_at: Date;
  /** Deleted teams keep their rows, and so their slugs. */
  deleted_at: Date | null;
}

export interface MembershipTable {
  team_id: string;
  account_id: string;
  role: TeamRole;
  joined_at: Date;
}

export interface ApiKeyTable {
  id: string;
  team_id: string;
  name: string;
  /** SHA-256 of the key's text: it is random enough to need no slow hash. */
  hash: Buffer;
  prefix: string;
  created_by: string;
  created_at: Date;
  last_used_at: Date | null;
}

export interface SigningKeyTable {
  kid: string;
  /** Public part as JWK (RFC 8037, OKP/Ed25519). */
  public_jwk: { kty?: string; crv?: string; x?: string };
  /** Private part, sealed under the master key with the kid as associated data. */
  private_sealed: Buffer;
  created_at: Date;
  /** From when it signs nothing new; it verifies for a session's length longer. */
  retired_at: Date | null;
}

declare module '@aviary/db/schema' {
  interface Schema {
    account: AccountTable;
    team: TeamTable;
    membership: MembershipTable;
    api_key: ApiKeyTable;
    signing_key: SigningKeyTable;
  }
}
