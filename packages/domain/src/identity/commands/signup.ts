/** Makes an account with its personal team. The installation's first account is its admin. */
import { isUniqueViolation, type Trx, transaction } from '@aviary/db';
import { AviaryError, newId, randomHex } from '@aviary/kernel';
import { sql } from 'kysely';
import { type Actor, actorIp, type UserActor } from '../actor.ts';
import {
  parseEmail,
  parseName,
  parsePassword,
  parseUsername,
  personalTeamName,
  usernameFrom,
} from '../input.ts';
import { addressKey } from '../limits.ts';
import type { Session } from '../model.ts';
import type { Parts } from '../parts.ts';
import { type AccountRow, anyAccount } from '../queries.ts';
import { openSession } from '../session.ts';
import { insertAccount, insertTeam } from '../store.ts';

/** Held while the first account is made: exactly one is first. */
const FIRST_ACCOUNT_LOCK = 4_712_010;

export async function signup(
  parts: Pick<Parts, 'db' | 'journal' | 'clock' | 'random' | 'passwords' | 'tokens' | 'limiters' | 'signups'>,
  actor: Actor,
  input: { email: string; password: string; name: string; username?: string },
): Promise<Session> {
  const email = parseEmail(input.email);
  const password = parsePassword(input.password);
  const name = parseName(input.name);
  if (parts.signups === 'first' && (await anyAccount(parts.db.kysely))) throw closed();
  const wished = input.username === undefined ? null : parseUsername(input.username);
  parts.limiters.signupPerIp.count(addressKey(actorIp(actor)));
  const passwordHash = await parts.passwords.hash(password);
  for (let attempt = 0; ; attempt += 1) {
    const suffix = attempt === 0 ? '' : `-${randomHex(3, parts.random)}`;
    const username = wished ?? `${usernameFrom(email)}${suffix}`;
    try {
      return await create(parts, actor, { email, name, username, passwordHash });
    } catch (error) {
      if (isUniqueViolation(error, 'account_email_unique')) {
        throw new AviaryError('email_taken', 'an account with this e-mail address exists', { cause: error });
      }
      const taken = isUniqueViolation(error, 'account_username_unique');
      if (taken && wished !== null) {
        throw new AviaryError('username_taken', 'an account with this user name exists', { cause: error });
      }
      if (!taken || attempt >= 5) throw error;
    }
  }
}

async function create(
  parts: Pick<Parts, 'db' | 'journal' | 'clock' | 'random' | 'tokens' | 'signups'>,
  actor: Actor,
  input: { email: string; name: string; username: string; passwordHash: string },
): Promise<Session> {
  const now = parts.clock.now();
  const made = await transaction(parts.db.kysely, async (trx) => {
    const account: AccountRow = {
      id: newId('account', parts.random),
      ...input,
      platformRole: await platformRoleFor(trx, parts.signups),
      epoch: 1,
      createdAt: now,
    };
    await insertAccount(trx, account);
    const team = await insertTeam(
      trx,
      { name: personalTeamName(input.name), ownerId: account.id, now },
      parts.random,
    );
    await journal(parts, trx, actor, account, team);
    return { account, team };
  });
  return openSession(parts, made.account, { ...made.team, role: 'owner' });
}

async function platformRoleFor(trx: Trx, signups: Parts['signups']): Promise<'admin' | 'user'> {
  if (!(await anyAccount(trx))) {
    await sql`select pg_advisory_xact_lock(${FIRST_ACCOUNT_LOCK})`.execute(trx);
    if (!(await anyAccount(trx))) return 'admin';
  }
  if (signups === 'first') throw closed();
  return 'user';
}

function closed(): AviaryError {
  return new AviaryError('forbidden', 'signing up is closed on this installation; ask its administrator');
}

async function journal(
  { journal }: Pick<Parts, 'journal'>,
  trx: Trx,
  actor: Actor,
  account: AccountRow,
  team: { id: string; name: string; slug: string },
): Promise<void> {
  const { id, email, username, platformRole } = account;
  const self: UserActor = {
    kind: 'user',
    accountId: id,
    email,
    name: account.name,
    teamId: team.id,
    teamRole: 'owner',
    platformRole,
    ip: actorIp(actor),
  };
  const ref = { type: 'user', id, name: email } as const;
  const resource = { type: 'account', id };
  await journal.event(trx, {
    type: 'account.created',
    teamId: team.id,
    actor: ref,
    resource,
    data: { email, username, platformRole },
  });
  await journal.event(trx, {
    type: 'team.created',
    teamId: team.id,
    actor: ref,
    resource: { type: 'team', id: team.id },
    data: { name: team.name, slug: team.slug },
  });
  await journal.audit(trx, {
    action: 'account.signup',
    outcome: 'done',
    actor: self,
    teamId: team.id,
    resource,
  });
}
