/** Work inside a running capsule, and the sign of life that does nothing. Neither writes to the database. */
import { AviaryError, isAviaryError } from '@aviary/kernel';
import type { Guest } from '@aviary/protocol';
import type { Actor } from '../../identity/index.ts';
import { authorize, type Parts } from '../deps.ts';
import { hostOf } from '../host.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { mustRun } from '../transition.ts';

export async function useCapsule<T>(
  parts: Parts,
  actor: Actor,
  id: string,
  work: (guest: Guest, capsule: Capsule) => Promise<T>,
): Promise<T> {
  const capsule = await runningCapsule(parts, actor, id, 'capsule.use');
  const end = parts.activity.begin(id);
  try {
    return await work(await hostOf(parts, capsule).guest(id), capsule);
  } catch (error) {
    // The host may know before the database that it sleeps or is gone.
    if (!isAviaryError(error, 'capsule_not_found')) throw error;
    throw new AviaryError('capsule_not_running', `capsule ${id} has just ended`, { cause: error });
  } finally {
    end();
  }
}

export async function pingCapsule(parts: Parts, actor: Actor, id: string): Promise<void> {
  await runningCapsule(parts, actor, id, 'capsule.ping');
  parts.activity.touch(id);
}

async function runningCapsule(
  parts: Parts,
  actor: Actor,
  id: string,
  action: 'capsule.use' | 'capsule.ping',
): Promise<Capsule> {
  const teamId = await authorize(parts, actor, action, { type: 'capsule', id });
  const capsule = await getCapsule(parts.db.kysely, id, teamId);
  mustRun(capsule);
  if (capsule.transition === 'pausing' || capsule.transition === 'destroying') {
    throw new AviaryError('capsule_not_running', `capsule ${id} is ${capsule.transition}`);
  }
  return capsule;
}
