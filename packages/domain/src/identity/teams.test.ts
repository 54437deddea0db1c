/** Teams, members and API keys, as every role. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Actor, UserActor } from './index.ts';
import { codeOf, createWorld, eventually, nobody, PASSWORD, type World } from './testing.ts';

let world: World;
/** One team with somebody of each role, and strangers. */
let team: { id: string; owner: UserActor; admin: UserActor; member: UserActor; stranger: UserActor };
const key = { kind: 'apiKey', keyId: 'key-x', name: 'k', ip: null } as const;

beforeAll(async () => {
  world = await createWorld();
  const [owner, admin, member, stranger] = await Promise.all(
    ['owner', 'admin', 'member', 'stranger'].map((name) => world.person(name)),
  );
  if (!owner || !admin || !member || !stranger) throw new Error('four people');
  const id = owner.session.team.id;
  await world.identity.addMember(owner.actor, { teamId: id, email: 'admin@example.org' });
  await world.identity.addMember(owner.actor, { teamId: id, email: 'MEMBER@example.org' });
  const adminId = admin.actor.accountId;
  await world.identity.setMemberRole(owner.actor, { teamId: id, accountId: adminId, role: 'admin' });
  const inTeam = async (actor: Actor) => {
    const { token } = await world.identity.switchTeam(actor, { teamId: id });
    return (await world.identity.authenticate({ kind: 'jwt', token }, null)) as UserActor;
  };
  team = {
    id,
    owner: owner.actor,
    admin: await inTeam(admin.actor),
    member: await inTeam(member.actor),
    stranger: stranger.actor,
  };
});
afterAll(() => world.close());

describe('who may', () => {
  /** Each action with what it answers to nobody, an API key, a stranger, a member, an admin. Owners may all. */
  const ACTIONS: readonly [name: string, run: (actor: Actor) => Promise<unknown>, answers: string][] = [
    ['get', (a) => world.identity.getTeam(a, { teamId: team.id }), 'unauthorized forbidden forbidden ok ok'],
    [
      'list members',
      (a) => world.identity.listMembers(a, { teamId: team.id }),
      'unauthorized forbidden forbidden ok ok',
    ],
    [
      'rename',
      (a) => world.identity.renameTeam(a, { teamId: team.id, name: 'Birds' }),
      'unauthorized forbidden forbidden forbidden ok',
    ],
    [
      'add',
      (a) => world.identity.addMember(a, { teamId: team.id, email: 'no@example.org' }),
      'unauthorized forbidden forbidden forbidden not_found',
    ],
    [
      'set a role',
      (a) => world.identity.setMemberRole(a, { teamId: team.id, accountId: 'usr-x', role: 'admin' }),
      'unauthorized forbidden forbidden forbidden not_found',
    ],
    [
      'remove',
      (a) => world.identity.removeMember(a, { teamId: team.id, accountId: 'usr-x' }),
      'unauthorized forbidden forbidden forbidden not_found',
    ],
    [
      'delete',
      (a) => world.identity.deleteTeam(a, { teamId: team.id }),
      'unauthorized forbidden forbidden forbidden forbidden',
    ],
    ['list keys', (a) => world.identity.listApiKeys(a), 'unauthorized forbidden ok ok ok'],
    ['list teams', (a) => world.identity.listTeams(a), 'unauthorized forbidden ok ok ok'],
    ['see itself', (a) => world.identity.getAccount(a), 'unauthorized forbidden ok ok ok'],
  ];
  it.each(ACTIONS)('%s', async (_name, run, answers) => {
    const actors: Actor[] = [nobody, { ...key, teamId: team.id }, team.stranger, team.member, team.admin];
    const got: string[] = [];
    for (const actor of actors)
      got.push(
        await run(actor).then(
          () => 'ok',
          (error) => error.code,
        ),
      );
    expect(got.join(' ')).toBe(answers);
  });

  it('is decided by the database, not by what the session says', async () => {
    const lying: UserActor = { ...team.member, teamRole: 'owner' };
    expect(await codeOf(world.identity.deleteTeam(lying, { teamId: team.id }))).toBe('forbidden');
    expect(await codeOf(world.identity.renameTeam(lying, { teamId: team.id, name: 'Mine' }))).toBe(
      'forbidden',
    );
  });
});

describe('switching', () => {
  it('refuses other teams and unknown ones', async () => {
    expect(await codeOf(world.identity.switchTeam(team.stranger, { teamId: team.id }))).toBe('forbidden');
    const unknown = { teamId: `team-${'0'.repeat(25)}` };
    expect(await codeOf(world.identity.switchTeam(team.stranger, unknown))).toBe('not_found');
  });
});

describe('members', () => {
  it('are listed in the order they came', async () => {
    const members = await world.identity.listMembers(team.owner, { teamId: team.id });
    expect(members.map(({ email, role }) => [email, role])).toEqual(
      expect.arrayContaining([
        ['owner@example.org', 'owner'],
        ['admin@example.org', 'admin'],
        ['member@example.org', 'member'],
      ]),
    );
  });

  it('join once', async () => {
    const again = { teamId: team.id, email: 'member@example.org' };
    expect(await codeOf(world.identity.addMember(team.admin, again))).toBe('already_member');
  });

  it('cannot touch the owner, and the owner cannot leave', async () => {
    const owner = { teamId: team.id, accountId: team.owner.accountId };
    expect(await codeOf(world.identity.setMemberRole(team.admin, { ...owner, role: 'member' }))).toBe(
      'forbidden',
    );
    expect(await codeOf(world.identity.removeMember(team.admin, owner))).toBe('forbidden');
    expect(await codeOf(world.identity.leaveTeam(team.owner, { teamId: team.id }))).toBe('forbidden');
  });

  it('get no role that is none', async () => {
    const input = { teamId: team.id, accountId: team.member.accountId, role: 'owner' };
    expect(await codeOf(world.identity.setMemberRole(team.owner, input))).toBe('invalid_request');
  });

  it('lose the team in their running session when they are removed, and keep the session', async () => {
    const { actor: gone } = await world.person('leaver');
    await world.identity.addMember(team.owner, { teamId: team.id, email: 'leaver@example.org' });
    const { token } = await world.identity.switchTeam(gone, { teamId: team.id });
    const see = async () => (await world.identity.authenticate({ kind: 'jwt', token }, null)) as UserActor;
    expect((await see()).teamRole).toBe('member');
    await world.identity.leaveTeam(await see(), { teamId: team.id });
    const after = await see();
    expect(after.teamRole).toBeNull();
    expect(await codeOf(world.identity.listApiKeys(after))).toBe('forbidden');
    expect(await codeOf(world.identity.getTeam(after, { teamId: team.id }))).toBe('forbidden');
    const home = await world.identity.switchTeam(after, { teamId: gone.teamId });
    expect(home.team.id).toBe(gone.teamId);
  });
});

describe('teams', () => {
  it.each(['', ' ', 'a-b', 'x'.repeat(129), 'né'])('are not named %j', async (name) => {
    expect(await codeOf(world.identity.createTeam(team.owner, { name }))).toBe('invalid_request');
  });

  it('are made, renamed and deleted, with an event each', async () => {
    const made = await world.identity.createTeam(team.owner, { name: 'Flock_1' });
    const { token } = await world.identity.switchTeam(team.owner, { teamId: made.id });
    const actor = await world.identity.authenticate({ kind: 'jwt', token }, null);
    await world.identity.renameTeam(actor, { teamId: made.id, name: 'Flock 2' });
    const { team: seen } = await world.identity.getTeam(actor, { teamId: made.id });
    expect(seen).toEqual({ id: made.id, name: 'Flock 2', slug: made.slug, createdAt: made.createdAt });
    await world.identity.deleteTeam(actor, { teamId: made.id });
    expect(await codeOf(world.identity.getTeam(actor, { teamId: made.id }))).toBe('not_found');
    // a session of it that goes on hears the same, and who never was in it too
    const stale = await world.identity.authenticate({ kind: 'jwt', token }, null);
    expect(stale).toMatchObject({ teamId: made.id, teamRole: null });
    expect(await codeOf(world.identity.getTeam(stale, { teamId: made.id }))).toBe('not_found');
    expect(await codeOf(world.identity.getTeam(team.stranger, { teamId: made.id }))).toBe('not_found');
    expect((await world.identity.listTeams(team.owner)).map(({ id }) => id)).not.toContain(made.id);
    const types = (await world.recorded()).filter(({ teamId }) => teamId === made.id).map(({ type }) => type);
    expect(types).toEqual(['team.created', 'team.renamed', 'team.deleted']);
    const { records } = await world.audit.query({ resourceId: made.id });
    expect(records.map(({ action }) => action)).toEqual(['team.delete', 'team.rename', 'team.create']);
    expect(await codeOf(world.identity.renameTeam(stale, { teamId: made.id, name: 'x' }))).toBe('forbidden');
  });
});

describe('API keys', () => {
  const use = (text: string, where = world.identity) =>
    where.authenticate({ kind: 'apiKey', key: text }, null);

  it('work until they are deleted, here at once and on replicas by event', async () => {
    const made = await world.identity.createApiKey(team.member, { name: 'ci' });
    expect(made.key).toMatch(/^wrn_[a-z0-9]{32}$/);
    expect(made.prefix).toBe(`${made.key.slice(0, 12)}...`);
    const replica = await world.replica();
    const actor = { kind: 'apiKey', keyId: made.id, name: 'ci', teamId: team.id };
    expect(await use(made.key)).toMatchObject(actor);
    expect(await use(made.key, replica)).toMatchObject(actor);
    await world.identity.deleteApiKey(team.admin, { id: made.id });
    expect(await codeOf(use(made.key))).toBe('unauthorized');
    await eventually(() =>
      use(made.key, replica).then(
        () => false,
        (error) => error.code === 'unauthorized',
      ),
    );
  });

  it('are shown without their text, with their last use', async () => {
    const made = await world.identity.createApiKey(team.owner, {});
    expect(made.name).toBe('Unnamed API Key');
    await use(made.key);
    const listed = (await world.identity.listApiKeys(team.owner)).find(({ id }) => id === made.id);
    const { key: _text, ...rest } = made;
    expect(listed).toEqual({ ...rest, lastUsedAt: world.clock.now() });
    const dump = JSON.stringify([await world.recorded(), (await world.audit.query({ limit: 500 })).records]);
    expect(dump).not.toContain(made.key);
  });

  it('of other teams are not there', async () => {
    const made = await world.identity.createApiKey(team.owner, {});
    expect(await codeOf(world.identity.deleteApiKey(team.stranger, { id: made.id }))).toBe('not_found');
    await use(made.key);
  });

  it('die with their team', async () => {
    const { session, actor } = await world.person('quinn');
    const made = await world.identity.createApiKey(actor, {});
    await use(made.key);
    await world.identity.deleteTeam(actor, { teamId: session.team.id });
    expect(await codeOf(use(made.key))).toBe('unauthorized');
    await world.identity.login(nobody, { login: 'quinn-u', password: PASSWORD });
  });
});
