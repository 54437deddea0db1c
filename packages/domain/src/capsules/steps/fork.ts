/** Operation `capsule.fork`: all recorded children run, or none. */
import { AviaryError } from '@aviary/kernel';
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, reasonOf, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { getCapsule } from '../queries.ts';
import { updateCapsule } from '../store.ts';

export const FORK = 'capsule.fork';

export function forkHandler(parts: Parts): OperationHandler {
  return {
    kind: FORK,
    run: async (ctx, input) => {
      const { actor, children } = input as unknown as Asked & { children: string[] };
      const source = await getCapsule(parts.db.kysely, ctx.subject, null);
      const host = hostOf(parts, source);
      const { templateRef: template, vcpus, memoryMb, diskMb, user } = source;
      try {
        if (ctx.attempt > 1) throw new AviaryError('shutting_down', 'the fork was interrupted; fork again');
        const made = await host.fork(
          source.id,
          // The children take over the source's environment, which only the host knows.
          children.map((id) => ({ id, template, vcpus, memoryMb, diskMb, user, envs: {} })),
        );
        await ctx.finish(async (trx) => {
          const now = parts.clock.now();
          await updateCapsule(trx, source.id, { transition: null }, now);
          for (const { id, guestIp } of made) {
            const state = { status: 'running', statusReason: null, transition: null } as const;
            await updateCapsule(trx, id, { ...state, guestIp, startedAt: now, lastActiveAt: now }, now);
            await recordEvent(parts, trx, actor, { id, teamId: source.teamId }, 'capsule.running', {
              hostId: source.hostId,
            });
          }
          await recordEvent(parts, trx, actor, source, 'capsule.forked', { children });
          return undefined;
        });
        return undefined;
      } catch (error) {
        for (const id of children) await host.destroy(id);
        throw error;
      }
    },
    failed: async (trx, { subject, input }, error) => {
      const { actor, children } = input as unknown as Asked & { children: string[] };
      const now = parts.clock.now();
      const reason = reasonOf(error);
      const source = await getCapsule(trx, subject, null);
      await updateCapsule(trx, subject, { transition: null }, now);
      for (const id of children) {
        await updateCapsule(trx, id, { status: 'error', statusReason: reason, transition: null }, now);
        await parts.hosts.release(trx, id);
        await recordEvent(parts, trx, actor, { id, teamId: source.teamId }, 'capsule.error', { reason });
      }
    },
  };
}
