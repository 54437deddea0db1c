/** Makes the area's tables. Run by the composition root through `migrate`. */
import type { Migration } from '@aviary/db';
import { sql } from 'kysely';

export const migrations: readonly Migration[] = [
  {
    name: '0050_hosts',
    up: async (trx) => {
      await sql`create table host (
        id text primary key,
        type text not null check (type in ('regular', 'byoc')),
        team_id text references team,
        provider text,
        availability_zone text,
        arch text,
        cpu_cores integer,
        memory_mb bigint,
        disk_mb bigint,
        address text,
        status text not null check (status in ('pending', 'online', 'offline', 'draining', 'unreachable')),
        last_heartbeat_at timestamptz,
        local_name text constraint host_local_name_unique unique,
        reserved_memory_mb bigint not null default 0,
        reserved_disk_mb bigint not null default 0,
        reserved_vcpus bigint not null default 0,
        created_by text not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        check ((type = 'byoc') = (team_id is not null)))`.execute(trx);
      await sql`create table host_reservation (
        subject text primary key,
        host_id text not null references host,
        memory_mb bigint not null check (memory_mb >= 0),
        disk_mb bigint not null check (disk_mb >= 0),
        vcpus bigint not null check (vcpus >= 0))`.execute(trx);
      await sql`create index host_reservation_host on host_reservation (host_id)`.execute(trx);
    },
  },
];
