/** Opens sessions, for signup, login, switchTeam and changePassword. Inside the area. */
import type { Account, Session, TeamWithRole } from './model.ts';
import type { Parts } from './parts.ts';
import type { AccountRow } from './queries.ts';

/** A fresh token for the account in that team. */
export async function openSession(
  parts: Pick<Parts, 'tokens'>,
  account: AccountRow,
  team: TeamWithRole,
): Promise<Session> {
  const { token, expiresAt } = await parts.tokens.sign({
    accountId: account.id,
    teamId: team.id,
    role: team.role,
    epoch: account.epoch,
  });
  return { token, expiresAt, account: publicAccount(account), team };
}

/** The account without what only this area may see. */
export function publicAccount({ id, email, username, name, platformRole, createdAt }: AccountRow): Account {
  return { id, email, username, name, platformRole, createdAt };
}
