/** Operation `capsule.destroy`: process and files gone, the row stays to be read. */
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, reasonOf, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';

export const DESTROY = 'capsule.destroy';

export function destroyHandler(parts: Parts): OperationHandler {
  return {
    kind: DESTROY,
    run: async (ctx, input) => {
      const { actor, reason } = input as unknown as Asked & { reason: string };
      const capsule = await getCapsule(parts.db.kysely, ctx.subject, null);
      await hostOf(parts, capsule).destroy(capsule.id);
      await ctx.finish(async (trx) => {
        const state = { status: 'stopped', statusReason: null, transition: null } as const;
        await updateCapsule(trx, capsule.id, state, parts.clock.now());
        await parts.hosts.release(trx, capsule.id);
        await recordEvent(parts, trx, actor, capsule, 'capsule.destroyed', { reason });
        return undefined;
      });
      parts.activity.forget(capsule.id);
      return undefined;
    },
    failed: async (trx, { subject }, error) => {
      const statusReason = `could not be destroyed: ${reasonOf(error)}`;
      await updateCapsule(trx, subject, { transition: null, statusReason }, parts.clock.now());
    },
  };
}
