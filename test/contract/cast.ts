/** A team with somebody in every role, a stranger, and one object of each kind. For the walk over all routes. */
import type { Client, Credential } from './client.ts';
import { makeKey, type Person, signUp } from './people.ts';

export const ROLES = ['nobody', 'stranger', 'strangerKey', 'member', 'admin', 'owner', 'teamKey'] as const;
export type Role = (typeof ROLES)[number];

export interface Cast {
  credentials: Record<Role, Credential>;
  /** The team each role works in; nobody has none. */
  teams: Record<Role, string>;
  teamId: string;
  capsuleId: string;
  snapshot: string;
  keyId: string;
  memberId: string;
  /** Somebody who is in no team of the cast. */
  outsiderEmail: string;
}

/** The accounts of all casts: signing up is slow on purpose, teams are not. */
export interface Company {
  owner: Person;
  admin: Person;
  member: Person;
  stranger: Person;
  strangerKey: string;
  outsider: Person;
}

export async function gather(client: Client): Promise<Company> {
  const stranger = await signUp(client, 'stranger');
  return {
    owner: await signUp(client, 'owner'),
    admin: await signUp(client, 'admin'),
    member: await signUp(client, 'member'),
    outsider: await signUp(client, 'outsider'),
    stranger,
    strangerKey: await makeKey(client, stranger.token),
  };
}

/** A fresh team of the company, so that what one operation does is not seen by the next. */
export async function assemble(client: Client, company: Company): Promise<Cast> {
  const founder = { token: company.owner.token };
  const team = await client.call<{ id: string }>('createTeam', { body: { name: 'cast' }, as: founder });
  const teamId = team.body.id;
  const enter = async (person: Person) => {
    const as = { token: person.token };
    return (await client.call<{ token: string }>('switchTeam', { body: { team_id: teamId }, as })).body.token;
  };
  const owner = { token: await enter(company.owner) };
  for (const person of [company.admin, company.member]) {
    await client.call('addTeamMember', { params: { id: teamId }, body: { email: person.email }, as: owner });
  }
  const promote = { params: { id: teamId, uid: company.admin.userId }, body: { role: 'admin' }, as: owner };
  await client.call('updateMemberRole', promote);
  const made = await client.call<{ id: string; key: string }>('createAPIKey', { body: {}, as: owner });
  const teamKey = { key: made.body.key };
  const capsule = await client.call<{ id: string }>('createCapsule', { body: {}, as: teamKey });
  const process = { cmd: 'sleep', args: ['600'], background: true, tag: 'cast' };
  await client.call('execCommand', { params: { id: capsule.body.id }, body: process, as: teamKey });
  const snapshot = { sandbox_id: capsule.body.id, name: 'cast', keep_running: true };
  await client.call('createSnapshot', { body: snapshot, as: teamKey });
  return {
    credentials: {
      nobody: null,
      stranger: { token: company.stranger.token },
      strangerKey: { key: company.strangerKey },
      member: { token: await enter(company.member) },
      admin: { token: await enter(company.admin) },
      owner,
      teamKey,
    },
    teams: {
      nobody: '',
      stranger: company.stranger.teamId,
      strangerKey: company.stranger.teamId,
      member: teamId,
      admin: teamId,
      owner: teamId,
      teamKey: teamId,
    },
    teamId,
    capsuleId: capsule.body.id,
    snapshot: 'cast',
    keyId: made.body.id,
    memberId: company.member.userId,
    outsiderEmail: company.outsider.email,
  };
}
