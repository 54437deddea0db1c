/** Ends a capsule for good, whatever its state; an ended one is fine. */
import { AviaryError, isAviaryError } from '@aviary/kernel';
import type { Actor } from '../../identity/index.ts';
import type { Parts } from '../deps.ts';
import { DESTROY } from '../steps/destroy.ts';
import { runTransitionInTurn } from '../transition.ts';

export async function destroyCapsule(
  parts: Parts,
  actor: Actor,
  id: string,
  reason = 'requested',
): Promise<void> {
  try {
    await runTransitionInTurn(parts, actor, id, {
      action: 'capsule.destroy',
      transition: 'destroying',
      kind: DESTROY,
      allowed: ({ status }) => {
        if (status === 'stopped') throw new AviaryError('conflict', 'destroyed already');
      },
      begin: async () => ({ input: { reason } }),
    });
  } catch (error) {
    if (!isAviaryError(error, 'conflict')) throw error;
  }
}
