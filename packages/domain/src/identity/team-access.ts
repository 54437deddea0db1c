/** The actor in the team it wants to change, as the database says right now. Used by the team commands. */
import type { Executor, Trx } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import { sql } from 'kysely';
import type { Actor, UserActor } from './actor.ts';
import type { TeamWithRole } from './model.ts';
import { requireUser } from './parts.ts';
import { type IdentityAction, policy } from './policy.ts';
import { teamFor } from './queries.ts';

/**
 * Checks `action` against the role in the database instead of the session's. Errors: forbidden (session of
 * another team, no member, role too low), not_found (the team is gone).
 */
export async function enterTeam(
  db: Executor,
  actor: Actor,
  teamId: string,
  action: IdentityAction,
): Promise<{ user: UserActor; team: TeamWithRole }> {
  const user = requireUser(actor);
  if (teamId !== user.teamId) {
    throw new AviaryError('forbidden', 'the session is for another team: switch to this one first');
  }
  const team = await teamFor(db, teamId, user.accountId);
  if (team === undefined) throw new AviaryError('not_found', 'there is no such team');
  policy.check({ ...user, teamRole: team.role }, action);
  if (team.role === null) throw new AviaryError('forbidden', 'you are not a member of this team');
  return { user, team: { ...team, role: team.role } };
}

/**
 * The team for somebody who only wants to see it. A team that does not exist, never did or no longer, is
 * not_found before anything else is asked; one that does is seen as with {@link enterTeam}.
 */
export async function seeTeam(db: Executor, actor: Actor, teamId: string): Promise<TeamWithRole> {
  const user = requireUser(actor);
  if ((await teamFor(db, teamId, user.accountId)) === undefined) {
    throw new AviaryError('not_found', 'there is no such team');
  }
  return (await enterTeam(db, actor, teamId, 'team.get')).team;
}

/** {@link enterTeam} with the team's row locked: changes of one team happen one after the other. */
export async function lockTeam(trx: Trx, actor: Actor, teamId: string, action: IdentityAction) {
  await sql`select 1 from team where id = ${teamId} for no key update`.execute(trx);
  return enterTeam(trx, actor, teamId, action);
}
