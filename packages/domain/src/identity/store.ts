/** The only writes to the area's tables (but for `signing-keys.ts`, which owns its own). Inside the area. */
import type { Executor, Trx } from '@aviary/db';
import { newId, type RandomBytes, randomHex } from '@aviary/kernel';
import { sql } from 'kysely';
import type { TeamRole } from './actor.ts';
import { foldCase } from './input.ts';
import type { ApiKey, Team } from './model.ts';
import type { AccountRow } from './queries.ts';

/** Errors: unique violations of `account_email_unique` and `account_username_unique`. */
export async function insertAccount(trx: Trx, account: AccountRow): Promise<void> {
  await trx
    .insertInto('account')
    .values({
      id: account.id,
      email: account.email,
      email_key: foldCase(account.email),
      username: account.username,
      username_key: foldCase(account.username),
      name: account.name,
      password_hash: account.passwordHash,
      platform_role: account.platformRole,
      session_epoch: account.epoch,
      created_at: account.createdAt,
    })
    .execute();
}

/** A team with its owner. The slug is drawn again while another team, living or deleted, has it. */
export async function insertTeam(
  trx: Trx,
  team: { name: string; ownerId: string; now: Date },
  random: RandomBytes,
): Promise<Team> {
  for (;;) {
    const made = {
      id: newId('team', random),
      name: team.name,
      slug: `${randomHex(3, random)}-${randomHex(3, random)}`,
      created_at: team.now,
    };
    const { numInsertedOrUpdatedRows } = await trx
      .insertInto('team')
      .values({ ...made, deleted_at: null })
      .onConflict((conflict) => conflict.constraint('team_slug_unique').doNothing())
      .executeTakeFirstOrThrow();
    if (numInsertedOrUpdatedRows === 0n) continue;
    await insertMember(trx, { teamId: made.id, accountId: team.ownerId, role: 'owner', now: team.now });
    return { id: made.id, name: made.name, slug: made.slug, createdAt: made.created_at };
  }
}

export async function renameTeam(trx: Trx, teamId: string, name: string): Promise<void> {
  await trx.updateTable('team').set({ name }).where('id', '=', teamId).execute();
}

export async function markTeamDeleted(trx: Trx, teamId: string, now: Date): Promise<void> {
  await trx.updateTable('team').set({ deleted_at: now }).where('id', '=', teamId).execute();
}

/** Error: unique violation of `membership_unique`. */
export async function insertMember(
  trx: Trx,
  member: { teamId: string; accountId: string; role: TeamRole; now: Date },
): Promise<void> {
  await trx
    .insertInto('membership')
    .values({
      team_id: member.teamId,
      account_id: member.accountId,
      role: member.role,
      joined_at: member.now,
    })
    .execute();
}

export async function updateMemberRole(
  trx: Trx,
  teamId: string,
  accountId: string,
  role: TeamRole,
): Promise<void> {
  await trx
    .updateTable('membership')
    .set({ role })
    .where('team_id', '=', teamId)
    .where('account_id', '=', accountId)
    .execute();
}

export async function deleteMember(trx: Trx, teamId: string, accountId: string): Promise<void> {
  await trx
    .deleteFrom('membership')
    .where('team_id', '=', teamId)
    .where('account_id', '=', accountId)
    .execute();
}

/** False when the password was changed meanwhile. The next epoch kills all sessions. */
export async function updatePassword(
  trx: Trx,
  account: { id: string; epoch: number },
  passwordHash: string,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('account')
    .set({ password_hash: passwordHash, session_epoch: account.epoch + 1 })
    .where('id', '=', account.id)
    .where('session_epoch', '=', account.epoch)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

export async function insertApiKey(trx: Trx, key: ApiKey, hash: Buffer): Promise<void> {
  await trx
    .insertInto('api_key')
    .values({
      id: key.id,
      team_id: key.teamId,
      name: key.name,
      hash,
      prefix: key.prefix,
      created_by: key.createdBy,
      created_at: key.createdAt,
      last_used_at: key.lastUsedAt,
    })
    .execute();
}

/** The deleted key's name; undefined when the team has no such key. */
export async function deleteApiKey(trx: Trx, teamId: string, id: string): Promise<string | undefined> {
  const row = await trx
    .deleteFrom('api_key')
    .where('team_id', '=', teamId)
    .where('id', '=', id)
    .returning('name')
    .executeTakeFirst();
  return row?.name;
}

/** Writes when keys were last used, all in one statement. */
export async function touchApiKeys(db: Executor, used: ReadonlyMap<string, Date>): Promise<void> {
  if (used.size === 0) return;
  const ids = [...used.keys()];
  const times = [...used.values()].map((at) => at.toISOString());
  await sql`update api_key set last_used_at = greatest(last_used_at, used.at)
    from unnest(${ids}::text[], ${times}::timestamptz[]) as used (id, at)
    where api_key.id = used.id`.execute(db);
}
