/** A new password. Every session of the account ends everywhere at once, but for the one answered here. */
import { transaction } from '@aviary/db';
import { AviaryError, isAviaryError } from '@aviary/kernel';
import { type Actor, actorIp, actorRef } from '../actor.ts';
import { foldCase, parsePassword, parseSecret } from '../input.ts';
import { addressKey } from '../limits.ts';
import type { Session } from '../model.ts';
import { type Parts, requireUser } from '../parts.ts';
import { accountById, teamFor, teamsOf } from '../queries.ts';
import { openSession } from '../session.ts';
import { updatePassword } from '../store.ts';

export async function changePassword(
  parts: Pick<Parts, 'db' | 'journal' | 'passwords' | 'tokens' | 'limiters' | 'stale'>,
  actor: Actor,
  input: { currentPassword: string; newPassword: string },
): Promise<Session> {
  const user = requireUser(actor);
  const current = parseSecret(input.currentPassword, 'current_password');
  const next = parsePassword(input.newPassword, 'new_password');
  const account = await parts.limiters.loginPerAccountAndIp.attempt(
    `${foldCase(user.email)} ${addressKey(actorIp(actor))}`,
    async () => {
      const found = await accountById(parts.db.kysely, user.accountId);
      const right = await parts.passwords.verify(found?.passwordHash ?? null, current);
      if (found !== undefined && right) return found;
      throw new AviaryError('invalid_credentials', 'the current password is wrong');
    },
    (error) => isAviaryError(error, 'invalid_credentials'),
  );
  const hash = await parts.passwords.hash(next);
  const epoch = account.epoch + 1;
  await transaction(parts.db.kysely, async (trx) => {
    if (!(await updatePassword(trx, account, hash))) {
      throw new AviaryError('conflict', 'the password was changed meanwhile: log in again');
    }
    const about = { teamId: null, actor: actorRef(actor), resource: { type: 'account', id: account.id } };
    await parts.journal.event(trx, { type: 'account.password_changed', ...about, data: {} });
    await parts.journal.event(trx, { type: 'session.revoked', ...about, data: { epoch } });
    await parts.journal.audit(trx, {
      action: 'account.change_password',
      outcome: 'done',
      actor,
      teamId: user.teamId,
      resource: about.resource,
    });
  });
  parts.stale({ account: account.id });
  const here = await teamFor(parts.db.kysely, user.teamId, account.id);
  const role = here?.role ?? null;
  const team =
    here !== undefined && role !== null ? { ...here, role } : (await teamsOf(parts.db.kysely, account.id))[0];
  if (team === undefined)
    throw new AviaryError('forbidden', 'the password is changed; you are in no team: log in');
  return openSession(parts, { ...account, epoch }, team);
}
