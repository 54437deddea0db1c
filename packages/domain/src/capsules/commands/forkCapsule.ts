/** New running capsules with the memory, processes and disk of a running one, which goes on. */
import { newId } from '@aviary/kernel';
import { type Actor, actorRef } from '../../identity/index.ts';
import { type Parts, recordEvent } from '../deps.ts';
import { parseNumber } from '../input.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { FORK } from '../steps/fork.ts';
import { insertCapsules } from '../store.ts';
import { mustRun, runTransition } from '../transition.ts';

export async function forkCapsule(parts: Parts, actor: Actor, id: string, count: number): Promise<Capsule[]> {
  const { db, hosts, clock } = parts;
  const children = Array.from({ length: parseNumber('forkCount', count, 1) }, () =>
    newId('capsule', parts.random),
  );
  await runTransition(parts, actor, id, {
    action: 'capsule.fork',
    transition: 'forking',
    kind: FORK,
    allowed: mustRun,
    begin: async (trx, source) => {
      const { teamId, hostId, vcpus, memoryMb, diskMb, template } = source;
      const now = clock.now();
      const rows = children.map((childId) => ({
        ...source,
        id: childId,
        status: 'starting' as const,
        transition: 'creating' as const,
        createdAt: now,
        startedAt: null,
        lastActiveAt: null,
        updatedAt: now,
      }));
      await insertCapsules(trx, rows, actorRef(actor).id);
      for (const child of rows) {
        await recordEvent(parts, trx, actorRef(actor), child, 'capsule.created', {
          template,
          vcpus,
          memoryMb,
          hostId,
        });
      }
      for (const subject of children)
        await hosts.reserve(trx, { subject, teamId, hostId, vcpus, memoryMb, diskMb });
      return { input: { children } };
    },
  });
  return Promise.all(children.map((childId) => getCapsule(db.kysely, childId, null)));
}
