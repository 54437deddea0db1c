/** Who is in a team: add, change role, remove, leave. The owner is who made the team, and stays. */
import { type Trx, transaction } from '@aviary/db';
import { AviaryError, invalidField } from '@aviary/kernel';
import { type Actor, actorRef, type TeamRole } from '../actor.ts';
import { parseEmail } from '../input.ts';
import type { TeamMember } from '../model.ts';
import type { Parts } from '../parts.ts';
import type { IdentityAction } from '../policy.ts';
import { accountByLogin, memberOf } from '../queries.ts';
import * as store from '../store.ts';
import { lockTeam } from '../team-access.ts';

type Needs = Pick<Parts, 'db' | 'journal' | 'clock' | 'stale'>;

export async function addMember(
  parts: Needs & Pick<Parts, 'limiters'>,
  actor: Actor,
  input: { teamId: string; email: string },
): Promise<TeamMember> {
  const { teamId } = input;
  const added = await transaction(parts.db.kysely, async (trx) => {
    const { user } = await lockTeam(trx, actor, teamId, 'team.add_member');
    const wanted = parseEmail(input.email);
    parts.limiters.lookupPerAccount.count(user.accountId);
    const account = await accountByLogin(trx, wanted);
    if (account === undefined) {
      throw new AviaryError('not_found', 'there is no account with this e-mail address');
    }
    const { id: accountId, email, name } = account;
    if ((await memberOf(trx, teamId, accountId)) !== undefined) {
      throw new AviaryError('already_member', 'the account is a member of the team already');
    }
    const now = parts.clock.now();
    await store.insertMember(trx, { teamId, accountId, role: 'member', now });
    const data: { accountId: string; role: TeamRole } = { accountId, role: 'member' };
    await parts.journal.event(trx, { type: 'team.member_added', ...about(actor, teamId), data });
    await audit(parts, trx, actor, 'team.add_member', teamId, data);
    return { accountId, email, name, role: data.role, joinedAt: now };
  });
  parts.stale({ account: added.accountId });
  return added;
}

export async function setMemberRole(
  parts: Needs,
  actor: Actor,
  input: { teamId: string; accountId: string; role: string },
): Promise<void> {
  const { teamId, accountId, role } = input;
  await transaction(parts.db.kysely, async (trx) => {
    await lockTeam(trx, actor, teamId, 'team.set_role');
    if (role !== 'admin' && role !== 'member') throw invalidField('role', 'must be admin or member');
    await changeable(trx, teamId, accountId);
    await store.updateMemberRole(trx, teamId, accountId, role);
    const data: { accountId: string; role: TeamRole } = { accountId, role };
    await parts.journal.event(trx, { type: 'team.member_role_changed', ...about(actor, teamId), data });
    await audit(parts, trx, actor, 'team.set_role', teamId, data);
  });
  parts.stale({ account: accountId });
}

export async function removeMember(
  parts: Needs,
  actor: Actor,
  input: { teamId: string; accountId: string },
): Promise<void> {
  await part(parts, actor, input.teamId, () => input.accountId, 'team.remove_member');
  parts.stale({ account: input.accountId });
}

export async function leaveTeam(parts: Needs, actor: Actor, input: { teamId: string }): Promise<void> {
  const left = await part(parts, actor, input.teamId, (self) => self, 'team.leave');
  parts.stale({ account: left });
}

/** Takes `whom` (given the actor's own id) out of the team; answers who it was. */
async function part(
  parts: Needs,
  actor: Actor,
  teamId: string,
  whom: (self: string) => string,
  action: IdentityAction,
): Promise<string> {
  return transaction(parts.db.kysely, async (trx) => {
    const { user } = await lockTeam(trx, actor, teamId, action);
    const accountId = whom(user.accountId);
    await changeable(trx, teamId, accountId);
    await store.deleteMember(trx, teamId, accountId);
    const data = { accountId };
    await parts.journal.event(trx, { type: 'team.member_removed', ...about(actor, teamId), data });
    await audit(parts, trx, actor, action, teamId, data);
    return accountId;
  });
}

/** Errors: not_found (no member), forbidden (the owner). */
async function changeable(trx: Trx, teamId: string, accountId: string): Promise<void> {
  const member = await memberOf(trx, teamId, accountId);
  if (member === undefined) throw new AviaryError('not_found', 'the account is not a member of the team');
  if (member.role === 'owner') {
    throw new AviaryError(
      'forbidden',
      'the owner keeps role and membership; the team can be deleted instead',
    );
  }
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
  details: { accountId: string; role?: TeamRole },
): Promise<void> {
  const resource = { type: 'team', id: teamId };
  return journal.audit(trx, { action, outcome: 'done', actor, teamId, resource, details });
}
