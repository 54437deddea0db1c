/** Operation `capsule.resume`: a paused capsule runs on. */
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, reasonOf, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';

export const RESUME = 'capsule.resume';

export function resumeHandler(parts: Parts): OperationHandler {
  return {
    kind: RESUME,
    run: async (ctx, input) => {
      const { actor } = input as unknown as Asked;
      const capsule = await getCapsule(parts.db.kysely, ctx.subject, null);
      const { guestIp } = await hostOf(parts, capsule).resume(capsule.id);
      await ctx.finish(async (trx) => {
        const now = parts.clock.now();
        const state = { status: 'running', statusReason: null, transition: null } as const;
        await updateCapsule(trx, capsule.id, { ...state, guestIp, startedAt: now, lastActiveAt: now }, now);
        parts.activity.touch(capsule.id);
        await recordEvent(parts, trx, actor, capsule, 'capsule.resumed', { hostId: capsule.hostId });
        return undefined;
      });
      return undefined;
    },
    // Lost on the way, or still asleep.
    failed: async (trx, { subject, input }, error) => {
      const { actor } = input as unknown as Asked;
      const capsule = await getCapsule(trx, subject, null, true);
      const { id, teamId, hostId, diskMb } = capsule;
      const reason = reasonOf(error);
      const state = error.code === 'capsule_lost' ? lost(reason) : asleep(reason);
      await updateCapsule(trx, id, { ...state, transition: null }, parts.clock.now());
      if (state.status === 'paused') {
        await parts.hosts.reserve(trx, { subject: id, teamId, hostId, memoryMb: 0, vcpus: 0, diskMb });
        return;
      }
      await parts.hosts.release(trx, id);
      await recordEvent(parts, trx, actor, capsule, 'capsule.error', { reason });
    },
  };
}

const lost = (reason: string) => ({ status: 'error', statusReason: reason }) as const;
const asleep = (reason: string) =>
  ({ status: 'paused', statusReason: `could not be resumed: ${reason}` }) as const;
