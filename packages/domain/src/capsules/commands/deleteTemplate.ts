/** A snapshot disappears; capsules made from it live on. */
import { transaction } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import { type Actor, actorRef } from '../../identity/index.ts';
import { authorize, type Parts, recordEvent } from '../deps.ts';
import { getTemplate } from '../queries.ts';
import { REMOVE_SNAPSHOT } from '../steps/removeSnapshot.ts';
import { deleteTemplate as deleteRow } from '../store.ts';

export async function deleteTemplate(parts: Parts, actor: Actor, name: string): Promise<void> {
  const { db, operations, journal } = parts;
  const teamId = await authorize(parts, actor, 'template.delete', { type: 'template', id: name });
  if (teamId === null) throw new AviaryError('forbidden', 'snapshots belong to a team');
  const queued = await transaction(db.kysely, async (trx) => {
    const template = await getTemplate(trx, teamId, name);
    if (template.type === 'base' || template.hostId === null) {
      throw new AviaryError('forbidden', `${name} is a built-in template and cannot be deleted`);
    }
    await deleteRow(trx, template.id);
    await recordEvent(parts, trx, actorRef(actor), { id: template.id, teamId }, 'template.snapshot.deleted', {
      name,
    });
    const resource = { type: 'template', id: template.id };
    await journal.audit(trx, {
      action: 'template.delete',
      outcome: 'done',
      actor,
      teamId,
      resource,
      details: { name },
    });
    const input = { hostId: template.hostId };
    return operations.enqueue(trx, { kind: REMOVE_SNAPSHOT, subject: template.id, teamId, input });
  });
  await operations.run(queued);
}
