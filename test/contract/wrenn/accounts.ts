/** Signup, login, keys, teams: the cases of the wrenn contract. */
import { expect, it } from 'vitest';
import { join, makeKey, signUp } from '../people.ts';
import type { Scene } from './scene.ts';

export function accountCases(scene: Scene): void {
  const call: Scene['client']['call'] = (...args) => scene.client.call(...args);
  const status = async (...args: Parameters<typeof call>) => (await call(...args)).status;

  it('signs up, logs in and refuses what is wrong', async () => {
    const { email, password } = scene.owner;
    expect(await status('login', { body: { email, password } })).toBe(200);
    expect(await status('login', { body: { email: email.toUpperCase(), password } })).toBe(200);
    expect(await status('login', { body: { email, password: 'wrong password' } })).toBe(401);
    expect(await status('login', { body: { email: 'nobody@example.com', password } })).toBe(401);
    expect(await status('signup', { body: { email, password, name: 'again' } })).toBe(409);
    expect(await status('signup', { body: { email: 'no address', password, name: 'x' } })).toBe(400);
    expect(await status('signup', { body: { email: 'x@example.com', password: 'short', name: 'x' } })).toBe(
      400,
    );
    expect(await status('signup', { body: { email: 'x@example.com', password } })).toBe(400);
  });

  it('makes, lists and deletes API keys of the team', async () => {
    const as = { token: scene.owner.token };
    const made = await call<{ id: string; key: string; key_prefix: string }>('createAPIKey', {
      body: {},
      as,
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name: 'Unnamed API Key',
      team_id: scene.owner.teamId,
      last_used: null,
    });
    expect(made.body.key).toMatch(/^wrn_[a-z0-9]{32}$/);
    expect(made.body.key.startsWith(made.body.key_prefix.replace('...', ''))).toBe(true);
    const list = await call<{ id: string }[]>('listAPIKeys', { as });
    expect(list.body.map(({ id }) => id)).toContain(made.body.id);
    expect(JSON.stringify(list.body)).not.toContain(made.body.key);
    expect(await status('listCapsules', { as: { key: made.body.key } })).toBe(200);
    expect(await status('deleteAPIKey', { params: { id: made.body.id }, as })).toBe(204);
    expect(await status('listCapsules', { as: { key: made.body.key } })).toBe(401);
    expect(await status('deleteAPIKey', { params: { id: made.body.id }, as })).toBe(404);
    expect(await status('createAPIKey', { body: {}, as: { key: scene.key } })).toBe(401);
    // both at once, as a page that keeps both does: each route takes the one it understands
    const both = { as, headers: { 'x-api-key': scene.key } };
    expect(await status('listAPIKeys', both)).toBe(200);
    expect(await status('listCapsules', both)).toBe(200);
  });

  it('finds people by the start of their e-mail', async () => {
    const as = { token: scene.owner.token };
    const prefix = `${scene.owner.email.split('@')[0]}@`;
    const found = await call<{ email: string; user_id: string }[]>('searchUsers', {
      query: { email: prefix },
      as,
    });
    expect(found.body).toEqual([{ email: scene.owner.email, user_id: scene.owner.userId }]);
    expect(await status('searchUsers', { query: { email: 'owner' }, as })).toBe(400);
    expect(await status('searchUsers', { as })).toBe(400);
  });

  it('keeps teams', async () => {
    const owner = await signUp(scene.client, 'founder');
    const as = { token: owner.token };
    const made = await call<{ id: string; slug: string; role: string }>('createTeam', {
      body: { name: 'Team_1 x' },
      as,
    });
    expect([made.status, made.body.role]).toEqual([201, 'owner']);
    expect(made.body.slug).toMatch(/^[0-9a-f]{6}-[0-9a-f]{6}$/);
    expect(await status('createTeam', { body: { name: 'no/slash' }, as })).toBe(400);
    const teams = await call<{ id: string }[]>('listTeams', { as });
    expect(teams.body.map(({ id }) => id)).toEqual([owner.teamId, made.body.id]);

    expect(await status('getTeam', { params: { id: made.body.id }, as })).toBe(403);
    const switched = await call<{ token: string; team_id: string }>('switchTeam', {
      body: { team_id: made.body.id },
      as,
    });
    expect(switched.body.team_id).toBe(made.body.id);
    const inside = { token: switched.body.token };
    const detail = await call<{ members: object[] }>('getTeam', { params: { id: made.body.id }, as: inside });
    expect(detail.body.members).toEqual([
      { user_id: owner.userId, email: owner.email, role: 'owner', joined_at: expect.any(String) },
    ]);
    expect(
      await status('renameTeam', { params: { id: made.body.id }, body: { name: 'New name' }, as: inside }),
    ).toBe(204);
    expect(await status('renameTeam', { params: { id: made.body.id }, body: { name: '' }, as: inside })).toBe(
      400,
    );
    expect(await status('deleteTeam', { params: { id: made.body.id }, as: inside })).toBe(204);
    expect(await status('getTeam', { params: { id: made.body.id }, as: inside })).toBe(404);
    expect(await status('getTeam', { params: { id: `team-${'0'.repeat(25)}` }, as: inside })).toBe(404);
    expect(await status('switchTeam', { body: { team_id: made.body.id }, as })).toBe(404);
    expect(await status('switchTeam', { body: { team_id: scene.owner.teamId }, as })).toBe(403);
  });

  it('keeps members and their roles', async () => {
    const [owner, admin, member] = [
      await signUp(scene.client, 'owner'),
      await signUp(scene.client, 'admin'),
      await signUp(scene.client, 'member'),
    ];
    const id = owner.teamId;
    const asOwner = { token: owner.token };
    const added = await call<{ role: string }>('addTeamMember', {
      params: { id },
      body: { email: admin.email },
      as: asOwner,
    });
    expect([added.status, added.body.role]).toEqual([201, 'member']);
    expect(await status('addTeamMember', { params: { id }, body: { email: admin.email }, as: asOwner })).toBe(
      400,
    );
    expect(
      await status('addTeamMember', { params: { id }, body: { email: 'no@example.com' }, as: asOwner }),
    ).toBe(404);
    expect(
      await status('updateMemberRole', {
        params: { id, uid: admin.userId },
        body: { role: 'admin' },
        as: asOwner,
      }),
    ).toBe(204);
    const asAdmin = {
      token: (
        await call<{ token: string }>('switchTeam', { body: { team_id: id }, as: { token: admin.token } })
      ).body.token,
    };
    const asMember = { token: await join(scene.client, owner, member, 'member') };

    const members = await call<{ role: string }[]>('listTeamMembers', { params: { id }, as: asMember });
    expect(members.body.map(({ role }) => role)).toEqual(['owner', 'admin', 'member']);
    expect(
      await status('addTeamMember', { params: { id }, body: { email: scene.owner.email }, as: asMember }),
    ).toBe(403);
    expect(await status('renameTeam', { params: { id }, body: { name: 'mine now' }, as: asMember })).toBe(
      403,
    );
    expect(await status('deleteTeam', { params: { id }, as: asAdmin })).toBe(403);
    const role = { role: 'admin' };
    expect(
      await status('updateMemberRole', { params: { id, uid: member.userId }, body: role, as: asMember }),
    ).toBe(403);
    expect(
      await status('updateMemberRole', { params: { id, uid: owner.userId }, body: role, as: asAdmin }),
    ).toBe(403);
    expect(
      await status('updateMemberRole', { params: { id, uid: scene.owner.userId }, body: role, as: asAdmin }),
    ).toBe(404);
    expect(
      await status('updateMemberRole', {
        params: { id, uid: member.userId },
        body: { role: 'owner' },
        as: asAdmin,
      }),
    ).toBe(400);
    expect(await status('removeTeamMember', { params: { id, uid: owner.userId }, as: asAdmin })).toBe(403);
    expect(await status('removeTeamMember', { params: { id, uid: scene.owner.userId }, as: asAdmin })).toBe(
      404,
    );
    expect(await status('leaveTeam', { params: { id }, as: asOwner })).toBe(403);
    expect(await status('leaveTeam', { params: { id }, as: asMember })).toBe(204);
    expect(await status('removeTeamMember', { params: { id, uid: admin.userId }, as: asOwner })).toBe(204);
    // who left keeps a token of a team that is no longer theirs
    expect(await status('listTeamMembers', { params: { id }, as: asMember })).toBe(403);
  });

  it('takes capsules and keys away with the team', async () => {
    const owner = await signUp(scene.client, 'leaver');
    const team = await call<{ id: string }>('createTeam', {
      body: { name: 'short lived' },
      as: { token: owner.token },
    });
    const { body } = await call<{ token: string }>('switchTeam', {
      body: { team_id: team.body.id },
      as: { token: owner.token },
    });
    const key = await makeKey(scene.client, body.token);
    const capsule = await call<{ id: string }>('createCapsule', { body: {}, as: { key } });
    expect(await status('deleteTeam', { params: { id: team.body.id }, as: { token: body.token } })).toBe(204);
    await expect.poll(() => status('listCapsules', { as: { key } })).toBe(401);
    await expect
      .poll(async () => (await scene.instance.host.list()).map(({ id }) => id), { timeout: 5000 })
      .not.toContain(capsule.body.id);
  });
}
