/** A session for an e-mail address or user name and its password. */
import { transaction } from '@aviary/db';
import { AviaryError, isAviaryError } from '@aviary/kernel';
import { type Actor, actorIp } from '../actor.ts';
import { foldCase, parseSecret, personalTeamName } from '../input.ts';
import { addressKey } from '../limits.ts';
import type { Session, TeamWithRole } from '../model.ts';
import type { Parts } from '../parts.ts';
import { type AccountRow, accountByLogin, teamsOf } from '../queries.ts';
import { openSession } from '../session.ts';
import { insertTeam } from '../store.ts';

type Needs = Pick<Parts, 'db' | 'journal' | 'clock' | 'random' | 'passwords' | 'tokens' | 'limiters'>;

export async function login(
  parts: Needs,
  actor: Actor,
  input: { login: string; password: string },
): Promise<Session> {
  const name = parseSecret(input.login, 'login').trim();
  const password = parseSecret(input.password);
  const address = addressKey(actorIp(actor));
  const wrong = (error: unknown) => isAviaryError(error, 'invalid_credentials');
  const account = await parts.limiters.loginPerIp.attempt(
    address,
    () =>
      parts.limiters.loginPerAccountAndIp.attempt(
        `${foldCase(name)} ${address}`,
        () => check(parts, name, password),
        wrong,
      ),
    wrong,
  );
  const team = (await teamsOf(parts.db.kysely, account.id))[0] ?? (await newHome(parts, account));
  const session = await openSession(parts, account, team);
  await transaction(parts.db.kysely, (trx) =>
    parts.journal.audit(trx, {
      action: 'account.login',
      outcome: 'done',
      actor: {
        kind: 'user',
        accountId: account.id,
        email: account.email,
        name: account.name,
        teamId: team.id,
        teamRole: team.role,
        platformRole: account.platformRole,
        ip: actorIp(actor),
      },
      teamId: team.id,
      resource: { type: 'account', id: account.id },
    }),
  );
  return session;
}

/** Takes as long for an unknown name as for a wrong password, and says the same. */
async function check(parts: Needs, name: string, password: string): Promise<AccountRow> {
  const account = await accountByLogin(parts.db.kysely, name);
  const right = await parts.passwords.verify(account?.passwordHash ?? null, password);
  if (account !== undefined && right) return account;
  throw new AviaryError('invalid_credentials', 'the user name, e-mail address or password is wrong');
}

/** A session needs a team; who has left or deleted all of them gets a new one. */
async function newHome(parts: Needs, account: AccountRow): Promise<TeamWithRole> {
  const now = parts.clock.now();
  return transaction(parts.db.kysely, async (trx) => {
    const name = personalTeamName(account.name);
    const team = await insertTeam(trx, { name, ownerId: account.id, now }, parts.random);
    await parts.journal.event(trx, {
      type: 'team.created',
      teamId: team.id,
      actor: { type: 'user', id: account.id, name: account.email },
      resource: { type: 'team', id: team.id },
      data: { name: team.name, slug: team.slug },
    });
    return { ...team, role: 'owner' };
  });
}
