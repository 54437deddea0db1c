/** Operation `capsule.create`: makes a recorded capsule on its host, or takes it back. */
import { AviaryError } from '@aviary/kernel';
import type { Json, OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, reasonOf, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import type { Capsule } from '../model.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';

export const CREATE = 'capsule.create';

/** What the operation answers: where the capsule is, and since when it runs. */
export function madeOf(result: Json): Pick<Capsule, 'guestIp' | 'startedAt' | 'lastActiveAt' | 'updatedAt'> {
  const { guestIp, at } = result as { guestIp: string; at: string };
  return { guestIp, startedAt: new Date(at), lastActiveAt: new Date(at), updatedAt: new Date(at) };
}

export function createHandler(parts: Parts): OperationHandler {
  return {
    kind: CREATE,
    run: async (ctx, input) => {
      const { actor, hostId } = input as unknown as Asked & { hostId: string };
      const id = ctx.subject;
      const host = hostOf(parts, { hostId });
      const quiet = host.subscribe((event) => {
        if (event.type === 'progress') ctx.progress(event.progress.step, event.progress.percent);
      });
      try {
        const spec = parts.orders.get(ctx.id);
        if (!spec)
          throw new AviaryError(
            'shutting_down',
            'the making of this capsule was interrupted; create it again',
          );
        const made = await host.create(spec);
        await ctx.finish(async (trx) => {
          const now = parts.clock.now();
          const state = { status: 'running', statusReason: null, transition: null } as const;
          await updateCapsule(
            trx,
            id,
            { ...state, guestIp: made.guestIp, startedAt: now, lastActiveAt: now },
            now,
          );
          await recordEvent(parts, trx, actor, { id, teamId: ctx.teamId ?? '' }, 'capsule.running', {
            hostId,
          });
          return { guestIp: made.guestIp, at: now.toISOString() };
        });
        return undefined;
      } catch (error) {
        await host
          .destroy(id)
          .catch((err) => parts.log.warn({ err, id }, 'left on its host; reconciling removes it'));
        throw error;
      } finally {
        quiet();
      }
    },
    failed: async (trx, { subject, input }, error) => {
      const { actor } = input as unknown as Asked;
      const capsule = await getCapsule(trx, subject, null, true);
      const reason = reasonOf(error);
      await updateCapsule(
        trx,
        subject,
        { status: 'error', statusReason: reason, transition: null },
        parts.clock.now(),
      );
      await parts.hosts.release(trx, subject);
      await recordEvent(parts, trx, actor, capsule, 'capsule.error', { reason });
    },
  };
}
