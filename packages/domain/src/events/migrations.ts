/** Makes the area's tables. Run by the composition root through `migrate`. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0020_events',
    up: async (trx) => {
      await sql`create sequence event_seq`.execute(trx);
      await sql`create table event (
        seq bigint primary key,
        id text not null unique,
        type text not null,
        team_id text,
        actor jsonb not null,
        resource_type text not null,
        resource_id text not null,
        data jsonb not null,
        at timestamptz not null)`.execute(trx);
      await sql`create index event_team on event (team_id, seq)`.execute(trx);
      await sql`create index event_resource on event (resource_id, seq)`.execute(trx);
      await sql`create index event_at on event (at)`.execute(trx);
      await sql`create table event_subscriber (
        name text primary key,
        cursor bigint not null,
        lease_owner text,
        lease_until timestamptz)`.execute(trx);
    },
  },
];
