/** The next signing key. Sessions signed by the old one stay good until they expire. */
import { transaction } from '@aviary/db';
import { type Actor, actorRef } from '../actor.ts';
import type { Parts } from '../parts.ts';

export async function rotateSigningKey(
  parts: Pick<Parts, 'db' | 'journal' | 'keys'>,
  actor: Actor,
): Promise<void> {
  await transaction(parts.db.kysely, async (trx) => {
    const resource = { type: 'signing_key', id: await parts.keys.rotate(trx) };
    const event = {
      type: 'signing_key.rotated',
      teamId: null,
      actor: actorRef(actor),
      resource,
      data: {},
    } as const;
    await parts.journal.event(trx, event);
    await parts.journal.audit(trx, {
      action: 'signing_key.rotate',
      outcome: 'done',
      actor,
      teamId: null,
      resource,
    });
  });
  parts.keys.forget();
}
