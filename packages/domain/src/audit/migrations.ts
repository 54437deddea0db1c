/** Makes the area's tables, and makes them append-only in the database itself. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0030_audit',
    up: async (trx) => {
      await sql`create table audit_log (
        seq bigserial primary key,
        at timestamptz(3) not null,
        action text not null,
        outcome text not null check (outcome in ('done', 'refused', 'failed')),
        actor_type text not null,
        actor_id text not null,
        actor_name text not null,
        ip text,
        team_id text,
        resource_type text,
        resource_id text,
        details jsonb not null)`.execute(trx);
      await sql`create index audit_log_team on audit_log (team_id, seq)`.execute(trx);
      await sql`create index audit_log_actor on audit_log (actor_id, seq)`.execute(trx);
      await sql`create index audit_log_resource on audit_log (resource_id, seq)`.execute(trx);
      await sql`create table audit_chain (
        position bigint primary key,
        seq bigint not null unique,
        hash bytea not null)`.execute(trx);
      await sql`create table audit_pending (seq bigint primary key)`.execute(trx);
      await sql`create function audit_is_append_only() returns trigger language plpgsql as $$
        begin
          raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
        end $$`.execute(trx);
      for (const table of ['audit_log', 'audit_chain']) {
        await sql`create trigger append_only before update or delete or truncate on ${sql.table(table)}
          for each statement execute function audit_is_append_only()`.execute(trx);
        // the owner could grant itself this again; the chain shows what was done then
        await sql`revoke update, delete, truncate on ${sql.table(table)} from public, current_user`.execute(
          trx,
        );
      }
    },
  },
];
