/** The only writes to the area's tables. Each belongs to a transaction of its caller. */
import type { Executor, Trx } from '@aviary/db';
import { sql } from 'kysely';
import type { Capsule, CapsuleStatus, CapsuleTransition, Template } from './model.ts';

export async function insertCapsules(
  trx: Trx,
  capsules: readonly Capsule[],
  createdBy: string,
): Promise<void> {
  await trx
    .insertInto('capsule')
    .values(
      capsules.map((capsule) => ({
        id: capsule.id,
        team_id: capsule.teamId,
        host_id: capsule.hostId,
        status: capsule.status,
        status_reason: capsule.statusReason,
        transition: capsule.transition,
        template_name: capsule.template,
        template_ref: JSON.stringify(capsule.templateRef),
        vcpus: capsule.vcpus,
        memory_mb: capsule.memoryMb,
        disk_mb: capsule.diskMb,
        timeout_sec: capsule.timeoutSec,
        metadata: JSON.stringify(capsule.metadata),
        default_user: capsule.user,
        guest_ip: capsule.guestIp,
        created_by: createdBy,
        created_at: capsule.createdAt,
        started_at: capsule.startedAt,
        last_active_at: capsule.lastActiveAt,
        updated_at: capsule.updatedAt,
      })),
    )
    .execute();
}

/** What a change of state sets. */
export interface CapsuleChange {
  status?: CapsuleStatus;
  statusReason?: string | null;
  transition?: CapsuleTransition | null;
  guestIp?: string;
  startedAt?: Date;
  lastActiveAt?: Date;
  timeoutSec?: number;
}

export async function updateCapsule(
  trx: Executor,
  id: string,
  change: CapsuleChange,
  now: Date,
): Promise<void> {
  await trx
    .updateTable('capsule')
    .set({
      ...(change.status !== undefined && { status: change.status }),
      ...(change.statusReason !== undefined && { status_reason: change.statusReason }),
      ...(change.transition !== undefined && { transition: change.transition }),
      ...(change.guestIp !== undefined && { guest_ip: change.guestIp }),
      ...(change.startedAt !== undefined && { started_at: change.startedAt }),
      ...(change.lastActiveAt !== undefined && { last_active_at: change.lastActiveAt }),
      ...(change.timeoutSec !== undefined && { timeout_sec: change.timeoutSec }),
      updated_at: now,
    })
    .where('id', '=', id)
    .execute();
}

/** Batched activity; an older time never replaces a newer one. */
export async function recordActivity(
  db: Executor,
  activity: readonly { id: string; at: Date }[],
): Promise<void> {
  const ids = activity.map(({ id }) => id);
  const times = activity.map(({ at }) => at.toISOString());
  await sql`update capsule set last_active_at = seen.at
    from unnest(${ids}::text[], ${times}::timestamptz[]) as seen (id, at)
    where capsule.id = seen.id and (capsule.last_active_at is null or capsule.last_active_at < seen.at)`.execute(
    db,
  );
}

export async function insertTemplate(trx: Trx, template: Template & { hostId: string }): Promise<void> {
  await trx
    .insertInto('template')
    .values({
      id: template.id,
      team_id: template.teamId,
      host_id: template.hostId,
      name: template.name,
      type: template.type,
      vcpus: template.vcpus,
      memory_mb: template.memoryMb,
      disk_mb: template.diskMb,
      size_bytes: template.sizeBytes,
      created_at: template.createdAt,
    })
    .execute();
}

export async function deleteTemplate(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('template').where('id', '=', id).execute();
}
