/** Makes and deletes a team's API keys. The text of a key exists in the answer of its making and nowhere else. */
import { transaction } from '@aviary/db';
import { AviaryError, newId, randomToken } from '@aviary/kernel';
import { type Actor, actorRef, requireTeam } from '../actor.ts';
import { hashKey } from '../authenticate.ts';
import { parseKeyName } from '../input.ts';
import type { NewApiKey } from '../model.ts';
import { type Parts, requireUser } from '../parts.ts';
import * as store from '../store.ts';
import { enterTeam } from '../team-access.ts';

export async function createApiKey(
  parts: Pick<Parts, 'db' | 'journal' | 'clock' | 'random'>,
  actor: Actor,
  input: { name?: string },
): Promise<NewApiKey> {
  const user = requireUser(actor);
  const teamId = requireTeam(actor);
  const name = parseKeyName(input.name);
  const key = `wrn_${randomToken(32, parts.random)}`;
  const made = {
    id: newId('apiKey', parts.random),
    teamId,
    name,
    prefix: `${key.slice(0, 12)}...`,
    createdBy: user.accountId,
    createdAt: parts.clock.now(),
    lastUsedAt: null,
  };
  await transaction(parts.db.kysely, async (trx) => {
    await enterTeam(trx, actor, teamId, 'apikey.create');
    await store.insertApiKey(trx, made, hashKey(key));
    const resource = { type: 'api_key', id: made.id };
    const data = { name, prefix: made.prefix };
    await parts.journal.event(trx, {
      type: 'apikey.created',
      teamId,
      actor: actorRef(actor),
      resource,
      data,
    });
    await parts.journal.audit(trx, {
      action: 'apikey.create',
      outcome: 'done',
      actor,
      teamId,
      resource,
      details: { name },
    });
  });
  return { ...made, key };
}

export async function deleteApiKey(
  parts: Pick<Parts, 'db' | 'journal' | 'stale'>,
  actor: Actor,
  input: { id: string },
): Promise<void> {
  const teamId = requireTeam(actor);
  await transaction(parts.db.kysely, async (trx) => {
    await enterTeam(trx, actor, teamId, 'apikey.delete');
    const name = await store.deleteApiKey(trx, teamId, input.id);
    if (name === undefined) throw new AviaryError('not_found', 'the team has no such API key');
    const resource = { type: 'api_key', id: input.id };
    const data = { name };
    await parts.journal.event(trx, {
      type: 'apikey.deleted',
      teamId,
      actor: actorRef(actor),
      resource,
      data,
    });
    await parts.journal.audit(trx, {
      action: 'apikey.delete',
      outcome: 'done',
      actor,
      teamId,
      resource,
      details: data,
    });
  });
  parts.stale({ key: input.id });
}
