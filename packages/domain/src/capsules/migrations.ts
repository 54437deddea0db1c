/** Tables of the area. Forward only. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0060_capsules',
    up: async (trx) => {
      await sql`create table capsule (
        id text primary key,
        team_id text not null,
        host_id text not null,
        status text not null check (status in
          ('pending', 'starting', 'running', 'paused', 'stopped', 'missing', 'error')),
        status_reason text,
        transition text,
        template_name text not null,
        template_ref jsonb not null,
        vcpus int not null,
        memory_mb int not null,
        disk_mb int not null,
        timeout_sec int not null,
        metadata jsonb not null,
        default_user text not null,
        guest_ip text not null,
        created_by text not null,
        created_at timestamptz not null,
        started_at timestamptz,
        last_active_at timestamptz,
        updated_at timestamptz not null
      )`.execute(trx);
      await sql`create index capsule_team on capsule (team_id, created_at desc, id desc)
        where status not in ('stopped', 'error')`.execute(trx);
      await sql`create index capsule_team_all on capsule (team_id, status, created_at desc, id desc)`.execute(
        trx,
      );
      await sql`create index capsule_host on capsule (host_id) where status not in ('stopped', 'error')`.execute(
        trx,
      );
      await sql`create index capsule_idle on capsule (host_id, last_active_at)
        where status = 'running' and timeout_sec > 0`.execute(trx);
      await sql`create table template (
        id text primary key,
        team_id text,
        host_id text,
        name text not null,
        type text not null check (type in ('base', 'snapshot')),
        vcpus int,
        memory_mb int,
        disk_mb int,
        size_bytes bigint not null,
        created_at timestamptz not null
      )`.execute(trx);
      await sql`create unique index template_name on template (coalesce(team_id, ''), name)`.execute(trx);
      await sql`insert into template (id, team_id, host_id, name, type, size_bytes, created_at)
        values ('minimal', null, null, 'minimal', 'base', 0, now())`.execute(trx);
    },
  },
];
