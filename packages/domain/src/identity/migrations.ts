/** Makes the area's tables. Run by the composition root through `migrate`. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0010_identity',
    up: async (trx) => {
      await sql`create table account (
        id text primary key,
        email text not null,
        email_key text collate "C" not null constraint account_email_unique unique,
        username text not null,
        username_key text collate "C" not null constraint account_username_unique unique,
        name text not null,
        password_hash text not null,
        platform_role text not null check (platform_role in ('admin', 'user')),
        session_epoch integer not null default 1,
        created_at timestamptz not null)`.execute(trx);
      await sql`create table team (
        id text primary key,
        name text not null,
        slug text not null constraint team_slug_unique unique,
        created_at timestamptz not null,
        deleted_at timestamptz)`.execute(trx);
      await sql`create table membership (
        team_id text not null references team,
        account_id text not null references account,
        role text not null check (role in ('owner', 'admin', 'member')),
        joined_at timestamptz not null,
        constraint membership_unique primary key (team_id, account_id))`.execute(trx);
      await sql`create index membership_account on membership (account_id)`.execute(trx);
      await sql`create unique index membership_one_owner on membership (team_id) where role = 'owner'`.execute(
        trx,
      );
      await sql`create table api_key (
        id text primary key,
        team_id text not null references team,
        name text not null,
        hash bytea not null constraint api_key_hash_unique unique,
        prefix text not null,
        created_by text not null references account,
        created_at timestamptz not null,
        last_used_at timestamptz)`.execute(trx);
      await sql`create index api_key_team on api_key (team_id, created_at)`.execute(trx);
      await sql`create table signing_key (
        kid text primary key,
        public_jwk jsonb not null,
        private_sealed bytea not null,
        created_at timestamptz not null,
        retired_at timestamptz)`.execute(trx);
      await sql`create unique index signing_key_one_active on signing_key ((true)) where retired_at is null`.execute(
        trx,
      );
    },
  },
];
