/** Changes after how many seconds of inactivity a capsule is paused. */
import { transaction } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import type { Actor } from '../../identity/index.ts';
import { authorize, type Parts, recordAudit } from '../deps.ts';
import { parseNumber } from '../input.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';
import { mustExist } from '../transition.ts';

export async function setTimeout(parts: Parts, actor: Actor, id: string, seconds: number): Promise<Capsule> {
  const teamId = await authorize(parts, actor, 'capsule.set_timeout', { type: 'capsule', id });
  const timeoutSec = parseNumber('timeoutSec', seconds, 0);
  return transaction(parts.db.kysely, async (trx) => {
    const capsule = await getCapsule(trx, id, teamId, true);
    mustExist(capsule);
    if (capsule.status === 'error') {
      throw new AviaryError('capsule_not_running', `capsule ${id} is ${capsule.status}`);
    }
    const now = parts.clock.now();
    await updateCapsule(
      trx,
      id,
      { timeoutSec, ...(capsule.status === 'running' && { lastActiveAt: now }) },
      now,
    );
    await recordAudit(parts, trx, actor, 'capsule.set_timeout', capsule);
    return getCapsule(trx, id, teamId);
  });
}
