/** Operation `capsule.pause`: memory and devices to disk; what it had is free for others. */
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, reasonOf, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';

export const PAUSE = 'capsule.pause';

export function pauseHandler(parts: Parts): OperationHandler {
  return {
    kind: PAUSE,
    run: async (ctx, input) => {
      const { actor, reason } = input as unknown as Asked & { reason: string };
      const capsule = await getCapsule(parts.db.kysely, ctx.subject, null);
      await hostOf(parts, capsule).pause(capsule.id);
      await ctx.finish(async (trx) => {
        await updateCapsule(trx, capsule.id, { status: 'paused', transition: null }, parts.clock.now());
        const { id: subject, teamId, hostId, diskMb } = capsule;
        await parts.hosts.reserve(trx, { subject, teamId, hostId, memoryMb: 0, vcpus: 0, diskMb });
        await recordEvent(parts, trx, actor, capsule, 'capsule.paused', { reason });
        return undefined;
      });
      return undefined;
    },
    // The host keeps it running when a pause fails; if it died, the host says so by itself.
    failed: async (trx, { subject }, error) => {
      const statusReason = `could not be paused: ${reasonOf(error)}`;
      await updateCapsule(trx, subject, { transition: null, statusReason }, parts.clock.now());
    },
  };
}
