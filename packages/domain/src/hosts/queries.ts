/** Everything the area reads for others. Inside the area. */
import type { Executor } from '@aviary/db';
import type { Actor } from '../identity/index.ts';
import type { Host } from './model.ts';
import type { HostTable } from './schema.ts';

/** The hosts this actor may know of, oldest first: all for platform admins and the system, else its team's. */
export async function visibleHosts(db: Executor, actor: Actor, id?: string): Promise<Host[]> {
  let select = db.selectFrom('host').selectAll().orderBy('created_at').orderBy('id');
  if (id !== undefined) select = select.where('id', '=', id);
  const all = actor.kind === 'system' || (actor.kind === 'user' && actor.platformRole === 'admin');
  if (!all) {
    const teamId = actor.kind === 'user' && actor.teamRole !== null ? actor.teamId : '';
    select = select.where('type', '=', 'byoc').where('team_id', '=', teamId);
  }
  return (await select.execute()).map(toHost);
}

export function toHost(row: HostTable): Host {
  return {
    id: row.id,
    type: row.type,
    teamId: row.team_id,
    provider: row.provider,
    availabilityZone: row.availability_zone,
    arch: row.arch,
    cpuCores: row.cpu_cores,
    memoryMb: row.memory_mb,
    diskMb: row.disk_mb,
    address: row.address,
    status: row.status,
    lastHeartbeatAt: row.last_heartbeat_at,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
