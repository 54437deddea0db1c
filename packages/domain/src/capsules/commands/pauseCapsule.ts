/** Puts a running capsule to sleep with everything in it. */
import type { Actor } from '../../identity/index.ts';
import type { Parts } from '../deps.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { PAUSE } from '../steps/pause.ts';
import { mustRun, runTransition } from '../transition.ts';

/** `reason` is what the event says: `requested` or `idle`. */
export async function pauseCapsule(
  parts: Parts,
  actor: Actor,
  id: string,
  reason = 'requested',
): Promise<Capsule> {
  await runTransition(parts, actor, id, {
    action: 'capsule.pause',
    transition: 'pausing',
    kind: PAUSE,
    allowed: mustRun,
    begin: async () => ({ input: { reason } }),
  });
  return getCapsule(parts.db.kysely, id, null);
}
