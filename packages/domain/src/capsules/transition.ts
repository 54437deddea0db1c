/**
 * The one way to change what a capsule is: claim it in a transaction, do it as an operation. Used by the
 * commands that work on an existing capsule; inside the area only.
 */
import { type Trx, transaction } from '@aviary/db';
import { AviaryError, isAviaryError } from '@aviary/kernel';
import { type Actor, actorRef } from '../identity/index.ts';
import type { Json } from '../operations/index.ts';
import { authorize, type Parts, recordAudit } from './deps.ts';
import type { Capsule, CapsuleTransition } from './model.ts';
import type { CapsuleAction } from './policy.ts';
import { getCapsule } from './queries.ts';
import { type CapsuleChange, updateCapsule } from './store.ts';

export interface Transition {
  action: CapsuleAction;
  transition: CapsuleTransition;
  kind: string;
  /** Throws when the capsule's state does not allow it. */
  allowed: (capsule: Capsule) => void;
  /** More of the input, and what else belongs into the claiming transaction. */
  begin?: (trx: Trx, capsule: Capsule) => Promise<{ input?: Record<string, Json>; change?: CapsuleChange }>;
}

/**
 * Claims the capsule, runs the operation and answers its result. Errors: those of `allowed` and of the
 * operation; capsule_busy when another one has it.
 */
export async function runTransition(
  parts: Parts,
  actor: Actor,
  id: string,
  order: Transition,
): Promise<Json> {
  const { db, operations, clock } = parts;
  const teamId = await authorize(parts, actor, order.action, { type: 'capsule', id });
  const queued = await transaction(db.kysely, async (trx) => {
    const capsule = await getCapsule(trx, id, teamId, true);
    order.allowed(capsule);
    if (capsule.transition !== null) throw busy(capsule);
    const { input = {}, change = {} } = (await order.begin?.(trx, capsule)) ?? {};
    await updateCapsule(trx, id, { ...change, transition: order.transition }, clock.now());
    await recordAudit(parts, trx, actor, order.action, capsule);
    const asked = { actor: { ...actorRef(actor) }, ...input };
    return operations.enqueue(trx, { kind: order.kind, subject: id, teamId: capsule.teamId, input: asked });
  });
  return operations.run(queued);
}

/** Longest wait for another operation on the capsule, milliseconds. */
const PATIENCE_MS = 60_000;

/** The same, but waits while another operation has the capsule. */
export async function runTransitionInTurn(
  parts: Parts,
  actor: Actor,
  id: string,
  order: Transition,
): Promise<Json> {
  const end = parts.clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await runTransition(parts, actor, id, order);
    } catch (error) {
      if (!isAviaryError(error, 'capsule_busy') || parts.clock.monotonicMs() > end) throw error;
      await parts.clock.sleep(25);
    }
  }
}

function busy(capsule: Capsule): AviaryError {
  return new AviaryError(
    'capsule_busy',
    `capsule ${capsule.id} is ${capsule.transition}; try again when it is done`,
  );
}

/** Throws for a destroyed capsule: it can be read, but nothing can be done with it. */
export function mustExist(capsule: Capsule): void {
  if (capsule.status === 'stopped')
    throw new AviaryError('capsule_not_found', `capsule ${capsule.id} was destroyed`);
}

/** Throws unless the capsule runs. */
export function mustRun(capsule: Capsule): void {
  mustExist(capsule);
  if (capsule.status === 'running') return;
  throw new AviaryError('capsule_not_running', `capsule ${capsule.id} is ${capsule.status}, not running`, {
    details: { status: capsule.status },
  });
}
