/** A session for another of the account's teams. */
import { AviaryError } from '@aviary/kernel';
import type { Actor } from '../actor.ts';
import type { Session } from '../model.ts';
import { type Parts, requireUser } from '../parts.ts';
import { accountById, teamFor } from '../queries.ts';
import { openSession } from '../session.ts';

export async function switchTeam(
  parts: Pick<Parts, 'db' | 'tokens'>,
  actor: Actor,
  input: { teamId: string },
): Promise<Session> {
  const user = requireUser(actor);
  const team = await teamFor(parts.db.kysely, input.teamId, user.accountId);
  if (team === undefined) throw new AviaryError('not_found', 'there is no such team');
  if (team.role === null) throw new AviaryError('forbidden', 'you are not a member of this team');
  const account = await accountById(parts.db.kysely, user.accountId);
  if (account === undefined) throw new AviaryError('unauthorized', 'the account is gone');
  return openSession(parts, account, { ...team, role: team.role });
}
