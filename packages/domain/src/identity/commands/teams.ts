/** Makes, renames and deletes teams. */
import { type Trx, transaction } from '@aviary/db';
import { type Actor, actorRef } from '../actor.ts';
import { parseTeamName } from '../input.ts';
import type { JournalValue } from '../journal.ts';
import type { TeamWithRole } from '../model.ts';
import { type Parts, requireUser } from '../parts.ts';
import type { IdentityAction } from '../policy.ts';
import * as store from '../store.ts';
import { lockTeam } from '../team-access.ts';

type Needs = Pick<Parts, 'db' | 'journal' | 'clock' | 'random' | 'stale'>;

export async function createTeam(parts: Needs, actor: Actor, input: { name: string }): Promise<TeamWithRole> {
  const user = requireUser(actor);
  const name = parseTeamName(input.name);
  return transaction(parts.db.kysely, async (trx) => {
    const now = parts.clock.now();
    const team = await store.insertTeam(trx, { name, ownerId: user.accountId, now }, parts.random);
    const data = { name, slug: team.slug };
    await parts.journal.event(trx, { type: 'team.created', ...about(actor, team.id), data });
    await audit(parts, trx, actor, 'team.create', team.id, data);
    return { ...team, role: 'owner' };
  });
}

export async function renameTeam(
  parts: Needs,
  actor: Actor,
  input: { teamId: string; name: string },
): Promise<void> {
  await transaction(parts.db.kysely, async (trx) => {
    const { team } = await lockTeam(trx, actor, input.teamId, 'team.rename');
    const name = parseTeamName(input.name);
    await store.renameTeam(trx, team.id, name);
    await parts.journal.event(trx, { type: 'team.renamed', ...about(actor, team.id), data: { name } });
    await audit(parts, trx, actor, 'team.rename', team.id, { from: team.name, to: name });
  });
}

export async function deleteTeam(parts: Needs, actor: Actor, input: { teamId: string }): Promise<void> {
  await transaction(parts.db.kysely, async (trx) => {
    const { team } = await lockTeam(trx, actor, input.teamId, 'team.delete');
    await store.markTeamDeleted(trx, team.id, parts.clock.now());
    await parts.journal.event(trx, { type: 'team.deleted', ...about(actor, team.id), data: {} });
    await audit(parts, trx, actor, 'team.delete', team.id, { name: team.name });
  });
  parts.stale({ team: input.teamId });
}

function about(actor: Actor, teamId: string) {
  return { teamId, actor: actorRef(actor), resource: { type: 'team', id: teamId } };
}

function audit(
  { journal }: Needs,
  trx: Trx,
  actor: Actor,
  action: IdentityAction,
  teamId: string,
  details: Readonly<Record<string, JournalValue>>,
): Promise<void> {
  const resource = { type: 'team', id: teamId };
  return journal.audit(trx, { action, outcome: 'done', actor, teamId, resource, details });
}
