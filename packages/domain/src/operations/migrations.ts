/** Makes the area's tables. Run by the composition root through `migrate`. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0040_operations',
    up: async (trx) => {
      await sql`create table operation (
        id text primary key,
        kind text not null,
        subject text not null,
        team_id text,
        state text not null check (state in ('scheduled', 'running', 'succeeded', 'failed', 'cancelled')),
        input jsonb not null,
        result jsonb,
        error_code text,
        error_message text,
        progress_text text,
        progress_percent double precision,
        attempt integer not null,
        fence integer not null,
        lease_owner text,
        lease_until timestamptz,
        run_at timestamptz,
        cancel_requested boolean not null default false,
        idempotency_key text,
        created_at timestamptz not null,
        started_at timestamptz,
        finished_at timestamptz)`.execute(trx);
      await sql`create unique index operation_idempotency on operation (kind, coalesce(team_id, ''), idempotency_key)
        where idempotency_key is not null`.execute(trx);
      await sql`create index operation_team on operation (team_id, id)`.execute(trx);
      await sql`create index operation_created on operation (created_at, id)`.execute(trx);
      await sql`create index operation_subject on operation (subject)`.execute(trx);
      await sql`create index operation_open on operation (state) where state in ('scheduled', 'running')`.execute(
        trx,
      );
      await sql`create table operation_step (
        operation_id text not null references operation on delete cascade,
        name text not null,
        result jsonb,
        at timestamptz not null,
        primary key (operation_id, name))`.execute(trx);
      await sql`create table operation_log (
        seq bigserial primary key,
        operation_id text not null references operation on delete cascade,
        at timestamptz not null,
        text text not null)`.execute(trx);
      await sql`create index operation_log_operation on operation_log (operation_id, seq)`.execute(trx);
    },
  },
];
