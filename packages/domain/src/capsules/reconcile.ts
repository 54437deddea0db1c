/**
 * Makes the record agree with what a host really has: after a start, and every half minute. Rows in a
 * transition are left to their operations. Used inside the area only.
 */
import { type Trx, transaction } from '@aviary/db';
import { type Parts, recordEvent } from './deps.ts';
import type { Capsule } from './model.ts';
import { capsulesOfHost, getCapsule, isLiving, snapshotsOfHost } from './queries.ts';
import { SNAPSHOT } from './steps/snapshot.ts';
import { updateCapsule } from './store.ts';

const RECOVERY = { type: 'system', id: 'recovery', name: 'recovery' } as const;

export async function reconcileHost(parts: Parts, hostId: string): Promise<void> {
  const { db, hosts, log } = parts;
  const host = hosts.links.capsules(hostId);
  const there = new Map((await host.list()).map((found) => [found.id, found.state]));
  for (const { id, status, transition } of await capsulesOfHost(db.kysely, hostId)) {
    if (transition === null && there.get(id) !== status) await settle(parts, id);
    there.delete(id);
  }
  for (const id of there.keys()) {
    if (await isLiving(db.kysely, id)) continue; // made since we looked
    log.warn({ id, hostId }, 'a host had a capsule that nobody owns; it is removed');
    await host.destroy(id);
  }
  const owned = new Set(await snapshotsOfHost(db.kysely, hostId));
  for (const { id } of await host.snapshots()) {
    if (!owned.has(id) && !(await isBeingMade(parts, id))) await host.removeSnapshot(id);
  }
}

/**
 * Record and host differ, or did when we looked: looks again while the row is held, so that no operation can
 * begin meanwhile, and believes the host.
 */
async function settle(parts: Parts, id: string): Promise<void> {
  const now = parts.clock.now();
  const gone = await transaction(parts.db.kysely, async (trx) => {
    const capsule = await getCapsule(trx, id, null, true);
    if (capsule.transition !== null || !(await isLiving(trx, id))) return null;
    const host = parts.hosts.links.capsules(capsule.hostId);
    const found = (await host.list()).find((other) => other.id === id);
    if (found?.state === capsule.status) return null;
    if (!found || found.state === 'dead') {
      await recordDeath(parts, trx, capsule, found?.reason ?? 'its host does not have it any more');
      return host;
    }
    await updateCapsule(trx, id, { status: found.state, statusReason: null }, now);
    const { teamId, hostId, diskMb } = capsule;
    const asleep = found.state === 'paused';
    const need = asleep ? { memoryMb: 0, vcpus: 0 } : { memoryMb: capsule.memoryMb, vcpus: capsule.vcpus };
    await parts.hosts.reserve(trx, { subject: id, teamId, hostId, diskMb, ...need });
    if (asleep) await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.paused', { reason: 'recovery' });
    else await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.resumed', { hostId });
    return null;
  });
  await gone?.destroy(id);
}

/** A snapshot whose operation is still under way has no row yet. */
async function isBeingMade(parts: Parts, templateId: string): Promise<boolean> {
  const running = await parts.operations.list({
    kind: SNAPSHOT,
    states: ['running', 'scheduled'],
    limit: 1000,
  });
  return running.some(({ input }) => (input as { templateId?: string }).templateId === templateId);
}

/** A capsule died: its row says so and why, and its room is free again. Fine when it was destroyed meanwhile. */
export async function markDead(parts: Parts, id: string, reason: string): Promise<void> {
  await transaction(parts.db.kysely, async (trx) => {
    const capsule = await getCapsule(trx, id, null, true);
    if (await isLiving(trx, id)) await recordDeath(parts, trx, capsule, reason);
  });
  parts.activity.forget(id);
}

async function recordDeath(parts: Parts, trx: Trx, capsule: Capsule, reason: string): Promise<void> {
  await updateCapsule(trx, capsule.id, { status: 'error', statusReason: reason }, parts.clock.now());
  await parts.hosts.release(trx, capsule.id);
  await recordEvent(parts, trx, RECOVERY, capsule, 'capsule.error', { reason });
}
