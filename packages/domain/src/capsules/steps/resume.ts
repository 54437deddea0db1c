/** Operation `capsule.resume`: a paused capsule runs on. */
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, hostOf, type Parts, reasonOf, recordEvent } from '../deps.ts';
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
    failed: async (trx, { subject }, error) => {
      const { id, teamId, hostId, diskMb } = await getCapsule(trx, subject, null, true);
      const statusReason = `could not be resumed: ${reasonOf(error)}`;
      await updateCapsule(trx, id, { status: 'paused', transition: null, statusReason }, parts.clock.now());
      await parts.hosts.reserve(trx, { subject: id, teamId, hostId, memoryMb: 0, vcpus: 0, diskMb });
    },
  };
}
