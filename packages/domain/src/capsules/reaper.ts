/**
 * Rounds that the area makes by itself: activity written in batches, idle capsules paused, hosts compared with
 * the record. Inside the area only.
 */
import { isAviaryError } from '@aviary/kernel';
import { pauseCapsule } from './commands/pauseCapsule.ts';
import type { Parts } from './deps.ts';
import type { Capsule } from './model.ts';
import { idleCapsules } from './queries.ts';
import { reconcileHost } from './reconcile.ts';

/** One round: answers the ids it paused. */
export async function reap(parts: Parts): Promise<string[]> {
  await parts.activity.flush();
  const idle = await idleCapsules(parts.db.kysely, parts.hosts.links.connected(), parts.clock.now());
  const due = idle.filter((capsule) => isIdle(parts, capsule));
  const paused = await Promise.all(due.map((capsule) => pauseIdle(parts, capsule.id)));
  return paused.flatMap((id) => (id === null ? [] : [id]));
}

/** The database may be a moment behind what this process saw. */
function isIdle({ activity, clock }: Parts, capsule: Capsule): boolean {
  if (activity.inUse(capsule.id)) return false;
  const seen = activity.lastSeen(capsule.id);
  return seen === null || seen.getTime() + capsule.timeoutSec * 1000 <= clock.now().getTime();
}

async function pauseIdle(parts: Parts, id: string): Promise<string | null> {
  try {
    await pauseCapsule(parts, { kind: 'system', part: 'reaper' }, id, 'idle');
    return id;
  } catch (error) {
    if (!isAviaryError(error, 'capsule_busy', 'capsule_not_running')) {
      parts.log.warn({ err: error, id }, 'an idle capsule could not be paused; it is tried again');
    }
    return null;
  }
}

/** Every how many rounds hosts are compared with the record. */
const RECONCILE_EVERY = 30;

async function reconcileAll(parts: Parts): Promise<void> {
  for (const hostId of parts.hosts.links.connected()) await reconcileHost(parts, hostId);
}

/** Rounds once a second until stopped. */
export function startReaper(parts: Parts): { stop(): Promise<void> } {
  const ending = new AbortController();
  const loop = async () => {
    for (let round = 1; !ending.signal.aborted; round++) {
      if (round % RECONCILE_EVERY === 0) {
        await reconcileAll(parts).catch((error) =>
          parts.log.warn({ err: error }, 'hosts could not be compared'),
        );
      }
      await reap(parts).catch((error) => parts.log.warn({ err: error }, 'the reaper could not do its round'));
      await parts.clock.sleep(1000, ending.signal).catch(() => undefined); // aborted: the loop ends
    }
  };
  const done = loop();
  return {
    stop: async () => {
      ending.abort();
      await done;
      await parts.activity.flush();
    },
  };
}
