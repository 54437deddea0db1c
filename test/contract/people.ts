/** Accounts, teams and keys for the contract tests. */
import type { Client } from './client.ts';

export interface Person {
  email: string;
  password: string;
  token: string;
  userId: string;
  teamId: string;
}

let count = 0;

/** A new account with its own team. */
export async function signUp(client: Client, name = 'somebody'): Promise<Person> {
  const email = `${name}-${++count}-${process.pid}@example.com`;
  const password = 'a long enough password';
  const { body } = await client.call<{ token: string; user_id: string; team_id: string }>('signup', {
    body: { email, password, name },
  });
  return { email, password, token: body.token, userId: body.user_id, teamId: body.team_id };
}

/** A key of the team that the token works in. */
export async function makeKey(client: Client, token: string): Promise<string> {
  const { body } = await client.call<{ key: string }>('createAPIKey', {
    body: { name: 'test' },
    as: { token },
  });
  return body.key;
}

/** `guest` as a member of `owner`'s team with that role; answers a token for it in that team. */
export async function join(
  client: Client,
  owner: Person,
  guest: Person,
  role: 'member' | 'admin',
): Promise<string> {
  const as = { token: owner.token };
  await client.call('addTeamMember', { params: { id: owner.teamId }, body: { email: guest.email }, as });
  await client.call('updateMemberRole', {
    params: { id: owner.teamId, uid: guest.userId },
    body: { role },
    as,
  });
  const { body } = await client.call<{ token: string }>('switchTeam', {
    body: { team_id: owner.teamId },
    as: { token: guest.token },
  });
  return body.token;
}
