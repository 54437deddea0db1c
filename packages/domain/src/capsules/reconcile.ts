/**
 * Makes the record agree with what a host really has: after a start, and when a host comes back. Rows in a
 * transition are left to their operations. Used inside the area only.
 */
import { transaction } from '@aviary/db';
import type { CapsuleOnHost } from '@aviary/protocol';
import { type Parts, recordEvent } from './deps.ts';
import type { Capsule } from './model.ts';
import { capsulesOfHost, getCapsule, snapshotsOfHost } from './queries.ts';
import { updateCapsule } from './store.ts';

const RECOVERY = { type: 'system', id: 'recovery', name: 'recovery' } as const;

export async function reconcileHost(parts: Parts, hostId: string): Promise<void> {
  const host = parts.hosts.links.capsules(hostId);
  const really = new Map((await host.list()).map((found) => [found.id, found]));
  for (const capsule of await capsulesOfHost(parts.db.kysely, hostId)) {
    const found = really.get(capsule.id);
    really.delete(capsule.id);
    if (capsule.transition === null) await settle(parts, capsule, found);
  }
  for (const { id } of really.values()) {
    parts.log.warn({ id, hostId }, 'a host had a capsule that nobody owns; it is removed');
    await host.destroy(id);
  }
  const owned = new Set(await snapshotsOfHost(parts.db.kysely, hostId));
  for (const { id } of await host.snapshots()) if (!owned.has(id)) await host.removeSnapshot(id);
}

async function settle(parts: Parts, capsule: Capsule, found: CapsuleOnHost | undefined): Promise<void> {
  if (!found || found.state === 'dead') {
    await markDead(parts, capsule.id, found?.reason ?? 'its host does not have it any more');
    await parts.hosts.links.capsules(capsule.hostId).destroy(capsule.id);
    return;
  }
  if (found.state === capsule.status) return;
  await transaction(parts.db.kysely, async (trx) => {
    await updateCapsule(
      trx,
      capsule.id,
      { status: found.state as 'running' | 'paused', statusReason: null },
      parts.clock.now(),
    );
    const { id: subject, teamId, hostId, diskMb } = capsule;
    const asleep = found.state === 'paused';
    const need = asleep ? { memoryMb: 0, vcpus: 0 } : { memoryMb: capsule.memoryMb, vcpus: capsule.vcpus };
    await parts.hosts.reserve(trx, { subject, teamId, hostId, diskMb, ...need });
    if (asleep) await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.paused', { reason: 'recovery' });
    else await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.resumed', { hostId });
  });
}

/** A capsule died: its row says so and why, and its room is free again. Fine when it was destroyed meanwhile. */
export async function markDead(parts: Parts, id: string, reason: string): Promise<void> {
  await transaction(parts.db.kysely, async (trx) => {
    const capsule = await getCapsule(trx, id, null, true);
    if (capsule.status === 'stopped' || capsule.status === 'error') return;
    await updateCapsule(trx, id, { status: 'error', statusReason: reason }, parts.clock.now());
    await parts.hosts.release(trx, id);
    await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.error', { reason });
  });
  parts.activity.forget(id);
}
