/**
 * Who fits where. A host's sums change in one conditional statement, so two replicas that place at once
 * cannot promise the same memory twice. Inside the area.
 */
import type { Executor, Trx } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import { sql } from 'kysely';
import type { Overcommit, Reservation } from './model.ts';

export const DEFAULT_OVERCOMMIT: Overcommit = { memory: 1.5, disk: 4, vcpus: 16 };

/** A host that might take it, with what it may still promise and what this workload holds there already. */
interface Candidate {
  id: string;
  freeMemory: number;
  freeDisk: number;
  freeVcpus: number;
  heldMemory: number;
  heldDisk: number;
  heldVcpus: number;
}

/** Errors: host_unavailable, capacity_exceeded (`details.free`). */
export async function reserve(
  trx: Trx,
  need: Reservation & { hostId?: string; teamId: string },
  connected: readonly string[],
  overcommit: Overcommit,
): Promise<{ hostId: string }> {
  const candidates = await findCandidates(trx, need, connected, overcommit);
  for (const candidate of candidates) {
    const { id, heldMemory, heldDisk, heldVcpus } = candidate;
    const memory = need.memoryMb - heldMemory;
    const disk = need.diskMb - heldDisk;
    const vcpus = need.vcpus - heldVcpus;
    const { rows } = await sql`
      with taken as (
        update host set reserved_memory_mb = reserved_memory_mb + ${memory},
          reserved_disk_mb = reserved_disk_mb + ${disk}, reserved_vcpus = reserved_vcpus + ${vcpus}
        where id = ${id}
          and (${memory}::bigint <= 0 or reserved_memory_mb + ${memory} <= memory_mb * ${overcommit.memory}::float8)
          and (${disk}::bigint <= 0 or reserved_disk_mb + ${disk} <= disk_mb * ${overcommit.disk}::float8)
          and (${vcpus}::bigint <= 0 or reserved_vcpus + ${vcpus} <= cpu_cores * ${overcommit.vcpus}::float8)
        returning id)
      insert into host_reservation (subject, host_id, memory_mb, disk_mb, vcpus)
      select ${need.subject}, id, ${need.memoryMb}, ${need.diskMb}, ${need.vcpus} from taken
      on conflict (subject) do update set memory_mb = excluded.memory_mb, disk_mb = excluded.disk_mb,
        vcpus = excluded.vcpus
      returning subject`.execute(trx);
    if (rows.length > 0) return { hostId: id };
  }
  const best = candidates[0];
  if (best === undefined) {
    throw new AviaryError('host_unavailable', 'no host is online that could run this: try again when one is');
  }
  const free = {
    memoryMb: Math.floor(best.freeMemory),
    diskMb: Math.floor(best.freeDisk),
    vcpus: Math.floor(best.freeVcpus),
  };
  throw new AviaryError(
    'capacity_exceeded',
    `no host can hold ${need.memoryMb} MB memory, ${need.diskMb} MB disk and ${need.vcpus} vCPUs more: free are ` +
      `${free.memoryMb} MB, ${free.diskMb} MB and ${free.vcpus}. Destroy or pause something, or add a host`,
    { details: { free } },
  );
}

/** Hosts in order of preference: where the workload is already, else the one with the most of its memory free. */
async function findCandidates(
  trx: Trx,
  need: Reservation & { hostId?: string; teamId: string },
  connected: readonly string[],
  overcommit: Overcommit,
): Promise<Candidate[]> {
  const { rows } = await sql<Candidate>`
    select h.id,
      h.memory_mb * ${overcommit.memory}::float8 - h.reserved_memory_mb as "freeMemory",
      h.disk_mb * ${overcommit.disk}::float8 - h.reserved_disk_mb as "freeDisk",
      h.cpu_cores * ${overcommit.vcpus}::float8 - h.reserved_vcpus as "freeVcpus",
      coalesce(r.memory_mb, 0) as "heldMemory", coalesce(r.disk_mb, 0) as "heldDisk",
      coalesce(r.vcpus, 0) as "heldVcpus"
    from host h left join host_reservation r on r.subject = ${need.subject}
    where (r.host_id is null and h.status = 'online' and h.id = any(${connected}::text[]) or r.host_id = h.id)
      and (${need.hostId ?? null}::text is null or h.id = ${need.hostId ?? null})
      and (h.type = 'regular' or h.team_id = ${need.teamId})
    order by h.reserved_memory_mb / greatest(h.memory_mb, 1)::float8, h.id limit 20`.execute(trx);
  return rows;
}

/** Gives back what the workload had; unknown subjects are fine. */
export async function release(db: Executor, subject: string): Promise<void> {
  await sql`with gone as (delete from host_reservation where subject = ${subject} returning *)
    update host h set reserved_memory_mb = reserved_memory_mb - gone.memory_mb,
      reserved_disk_mb = reserved_disk_mb - gone.disk_mb, reserved_vcpus = reserved_vcpus - gone.vcpus
    from gone where h.id = gone.host_id`.execute(db);
}
