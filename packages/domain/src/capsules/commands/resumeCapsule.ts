/** Wakes a paused capsule; there must be room for it again. */
import { AviaryError } from '@aviary/kernel';
import type { Actor } from '../../identity/index.ts';
import type { Parts } from '../deps.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { RESUME } from '../steps/resume.ts';
import { mustExist, runTransition } from '../transition.ts';

export async function resumeCapsule(parts: Parts, actor: Actor, id: string): Promise<Capsule> {
  await runTransition(parts, actor, id, {
    action: 'capsule.resume',
    transition: 'resuming',
    kind: RESUME,
    allowed: (capsule) => {
      mustExist(capsule);
      if (capsule.status === 'paused') return;
      throw new AviaryError('capsule_not_paused', `capsule ${id} is ${capsule.status}, not paused`, {
        details: { status: capsule.status },
      });
    },
    begin: async (trx, { teamId, hostId, vcpus, memoryMb, diskMb }) => {
      await parts.hosts.reserve(trx, { subject: id, teamId, hostId, vcpus, memoryMb, diskMb });
      return { change: { status: 'starting' } };
    },
  });
  return getCapsule(parts.db.kysely, id, null);
}
