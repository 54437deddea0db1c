/** This machine as a host. Inside the area. */
import { type Database, transaction } from '@aviary/db';
import { type Clock, newId, type RandomBytes } from '@aviary/kernel';
import type { NewEvent } from '../events/index.ts';
import { actorRef, type Journal } from '../identity/index.ts';
import type { Host, HostFacts } from './model.ts';
import { toHost } from './queries.ts';

/** Made at the first start, its facts updated at each. */
export async function ensureLocalHost(
  deps: { db: Database; journal: Journal<NewEvent>; clock: Clock; random: RandomBytes },
  name: string,
  facts: HostFacts,
): Promise<Host> {
  const now = deps.clock.now();
  const actor = { kind: 'system', part: 'hosts' } as const;
  const known = {
    arch: facts.arch,
    cpu_cores: facts.cpuCores,
    memory_mb: facts.memoryMb,
    disk_mb: facts.diskMb,
    address: '127.0.0.1',
    status: 'online',
    last_heartbeat_at: now,
    updated_at: now,
  } as const;
  return transaction(deps.db.kysely, async (trx) => {
    const id = newId('host', deps.random);
    const row = await trx
      .insertInto('host')
      .values({
        ...known,
        id,
        type: 'regular',
        team_id: null,
        provider: null,
        availability_zone: null,
        local_name: name,
        reserved_memory_mb: 0,
        reserved_disk_mb: 0,
        reserved_vcpus: 0,
        created_by: 'system',
        created_at: now,
      })
      .onConflict((conflict) => conflict.constraint('host_local_name_unique').doUpdateSet(known))
      .returningAll()
      .executeTakeFirstOrThrow();
    const resource = { type: 'host', id: row.id };
    const about = { teamId: null, actor: actorRef(actor), resource };
    if (row.id === id) {
      await deps.journal.event(trx, { type: 'host.created', ...about, data: { type: row.type } });
      await deps.journal.audit(trx, {
        action: 'host.create',
        outcome: 'done',
        actor,
        teamId: null,
        resource,
      });
    }
    await deps.journal.event(trx, { type: 'host.up', ...about, data: { address: row.address } });
    return toHost(row);
  });
}
