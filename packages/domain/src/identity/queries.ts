/** Everything the area reads. Pure reads, usable in and outside of transactions. Inside the area. */
import type { Executor } from '@aviary/db';
import { sql } from 'kysely';
import type { PlatformRole, TeamRole } from './actor.ts';
import { foldCase } from './input.ts';
import type { Account, ApiKey, TeamMember, TeamWithRole } from './model.ts';
import type { ApiKeyTable } from './schema.ts';

/** An account with what only this area may see. */
export interface AccountRow extends Account {
  passwordHash: string;
  epoch: number;
}

const accountColumns = [
  'account.id',
  'account.email',
  'account.username',
  'account.name',
  'account.platform_role as platformRole',
  'account.created_at as createdAt',
  'account.password_hash as passwordHash',
  'account.session_epoch as epoch',
] as const;

export function accountById(db: Executor, id: string): Promise<AccountRow | undefined> {
  return db.selectFrom('account').select(accountColumns).where('id', '=', id).executeTakeFirst();
}

/** By e-mail address when there is an `@` in it, else by user name (which never has one). */
export function accountByLogin(db: Executor, login: string): Promise<AccountRow | undefined> {
  const column = login.includes('@') ? 'email_key' : 'username_key';
  return db
    .selectFrom('account')
    .select(accountColumns)
    .where(column, '=', foldCase(login))
    .executeTakeFirst();
}

export async function anyAccount(db: Executor): Promise<boolean> {
  return (await db.selectFrom('account').select('id').limit(1).executeTakeFirst()) !== undefined;
}

/** Up to 10 addresses that start with `prefix`. */
export function accountsByEmailPrefix(
  db: Executor,
  prefix: string,
): Promise<{ accountId: string; email: string }[]> {
  const pattern = `${foldCase(prefix).replace(/[\\%_]/g, '\\$&')}%`;
  return db
    .selectFrom('account')
    .select(['id as accountId', 'email'])
    .where('email_key', 'like', pattern)
    .orderBy('email_key')
    .limit(10)
    .execute();
}

/** Living teams of the account, the one it joined first leading. */
export function teamsOf(db: Executor, accountId: string): Promise<TeamWithRole[]> {
  return db
    .selectFrom('membership')
    .innerJoin('team', 'team.id', 'membership.team_id')
    .select(['team.id', 'team.name', 'team.slug', 'team.created_at as createdAt', 'membership.role'])
    .where('membership.account_id', '=', accountId)
    .where('team.deleted_at', 'is', null)
    .orderBy('membership.joined_at')
    .orderBy('team.id')
    .execute();
}

/** A living team with this account's role in it, null when it is no member. */
export async function teamFor(
  db: Executor,
  teamId: string,
  accountId: string,
): Promise<{ id: string; name: string; slug: string; createdAt: Date; role: TeamRole | null } | undefined> {
  return db
    .selectFrom('team')
    .leftJoin('membership', (join) =>
      join.onRef('membership.team_id', '=', 'team.id').on('membership.account_id', '=', accountId),
    )
    .select(['team.id', 'team.name', 'team.slug', 'team.created_at as createdAt', 'membership.role'])
    .where('team.id', '=', teamId)
    .where('team.deleted_at', 'is', null)
    .executeTakeFirst();
}

const members = (db: Executor, teamId: string) =>
  db
    .selectFrom('membership')
    .innerJoin('account', 'account.id', 'membership.account_id')
    .select([
      'account.id as accountId',
      'account.email',
      'account.name',
      'membership.role',
      'membership.joined_at as joinedAt',
    ])
    .where('membership.team_id', '=', teamId);

export function membersOf(db: Executor, teamId: string): Promise<TeamMember[]> {
  return members(db, teamId).orderBy('membership.joined_at').orderBy('account.id').execute();
}

export function memberOf(db: Executor, teamId: string, accountId: string): Promise<TeamMember | undefined> {
  return members(db, teamId).where('account.id', '=', accountId).executeTakeFirst();
}

/** A row as the area shows it, without its hash. */
export function toApiKey(row: ApiKeyTable): ApiKey {
  return {
    id: row.id,
    teamId: row.team_id,
    name: row.name,
    prefix: row.prefix,
    createdBy: row.created_by,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}

/** Newest first. */
export async function apiKeysOf(db: Executor, teamId: string): Promise<ApiKey[]> {
  const rows = await db
    .selectFrom('api_key')
    .selectAll()
    .where('team_id', '=', teamId)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute();
  return rows.map(toApiKey);
}

/** What a session needs to be believed. */
export interface SessionState {
  accountId: string;
  teamId: string;
  email: string;
  name: string;
  platformRole: PlatformRole;
  epoch: number;
  /** Null when the account is not, or no longer, in that team, or the team is gone. */
  teamRole: TeamRole | null;
}

/** The account in the team of its token; null when there is no such account. Hot: one indexed query. */
export async function sessionState(
  db: Executor,
  accountId: string,
  teamId: string,
): Promise<SessionState | null> {
  const { rows } = await sql<SessionState>`
    select a.id as "accountId", ${teamId}::text as "teamId", a.email, a.name, a.platform_role as "platformRole",
      a.session_epoch as epoch, case when t.id is null then null else m.role end as "teamRole"
    from account a
    left join membership m on m.account_id = a.id and m.team_id = ${teamId}
    left join team t on t.id = m.team_id and t.deleted_at is null
    where a.id = ${accountId}`.execute(db);
  return rows[0] ?? null;
}

/** A key of a living team, by the hash of its text. Hot: one indexed query. */
export async function keyByHash(
  db: Executor,
  hash: Buffer,
): Promise<{ keyId: string; name: string; teamId: string } | null> {
  const row = await db
    .selectFrom('api_key')
    .innerJoin('team', 'team.id', 'api_key.team_id')
    .select(['api_key.id as keyId', 'api_key.name', 'api_key.team_id as teamId'])
    .where('api_key.hash', '=', hash)
    .where('team.deleted_at', 'is', null)
    .executeTakeFirst();
  return row ?? null;
}
