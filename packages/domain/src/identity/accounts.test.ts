/** Signup, login, passwords and sessions against a real database. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, createWorld, eventually, nobody, PASSWORD, type World } from './testing.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

describe('signup', () => {
  it('makes exactly the first account admin, even when two are first at once', async () => {
    const both = await Promise.all([world.person('ann'), world.person('bob')]);
    const roles = both.map(({ session }) => session.account.platformRole);
    expect(roles.sort()).toEqual(['admin', 'user']);
    expect((await world.person('cid')).actor.platformRole).toBe('user');
  });

  it('is closed after the first when it is told so, even when two are first at once', async () => {
    const closed = await createWorld({ signups: 'first' });
    try {
      expect(await closed.identity.anyAccount()).toBe(false);
      const both = await Promise.allSettled([closed.person('ann'), closed.person('bob')]);
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await codeOf(closed.person('cid'))).toBe('forbidden');
      expect(await closed.identity.anyAccount()).toBe(true);
    } finally {
      await closed.close();
    }
  });

  it('gives the account a personal team that it owns', async () => {
    const { session, actor } = await world.person('dora');
    expect(session.team).toMatchObject({ name: 'dora team', role: 'owner' });
    expect(session.team.slug).toMatch(/^[0-9a-f]{6}-[0-9a-f]{6}$/);
    expect(actor).toMatchObject({ teamId: session.team.id, teamRole: 'owner', ip: nobody.ip });
  });

  it('records who came, in events and audit', async () => {
    const { session } = await world.person('eve');
    const mine = (await world.recorded()).filter(({ actor }) => actor.id === session.account.id);
    expect(mine.map(({ type }) => type)).toEqual(['account.created', 'team.created']);
    const { records } = await world.audit.query({ actorId: session.account.id });
    expect(records).toMatchObject([{ action: 'account.signup', outcome: 'done', ip: nobody.ip }]);
  });

  it('refuses a taken address or user name, whatever its case', async () => {
    await world.person('finn');
    const fresh = { password: PASSWORD, name: 'Finn' };
    expect(await codeOf(world.identity.signup(nobody, { ...fresh, email: 'FINN@example.ORG' }))).toBe(
      'email_taken',
    );
    const input = { ...fresh, email: 'finn2@example.org', username: 'FINN-U' };
    expect(await codeOf(world.identity.signup(nobody, input))).toBe('username_taken');
  });

  it('finds another user name when the derived one is taken', async () => {
    const input = { password: PASSWORD, name: 'Gil' };
    const one = await world.identity.signup(nobody, { ...input, email: 'gil@one.example' });
    const two = await world.identity.signup(nobody, { ...input, email: 'gil@two.example' });
    expect(one.account.username).toBe('gil');
    expect(two.account.username).toMatch(/^gil-[0-9a-f]{6}$/);
  });

  it.each([
    ['email', { email: 'nope', password: PASSWORD, name: 'x' }],
    ['email', { email: 'a@b@c', password: PASSWORD, name: 'x' }],
    ['password', { email: 'h@example.org', password: 'short', name: 'x' }],
    ['name', { email: 'h@example.org', password: PASSWORD, name: '' }],
    ['name', { email: 'h@example.org', password: PASSWORD, name: 'x'.repeat(101) }],
    ['username', { email: 'h@example.org', password: PASSWORD, name: 'x', username: 'a@b' }],
  ])('refuses a bad %s', async (field, input) => {
    await expect(world.identity.signup(nobody, input)).rejects.toMatchObject({
      code: 'invalid_request',
      details: { field },
    });
  });
});

describe('login', () => {
  it('takes address or user name, whatever the case', async () => {
    const { session } = await world.person('hana');
    for (const login of ['hana@example.org', 'HANA@Example.org', 'hana-u', 'Hana-U']) {
      const again = await world.identity.login(nobody, { login, password: PASSWORD });
      expect(again.account.id).toBe(session.account.id);
      expect(again.expiresAt.getTime() - world.clock.now().getTime()).toBe(6 * 3600 * 1000);
    }
  });

  it('says the same for a wrong password and an unknown name', async () => {
    await world.person('ida');
    const wrong = await world.identity.login(nobody, { login: 'ida-u', password: 'x' }).catch((e) => e);
    const unknown = await world.identity.login(nobody, { login: 'nobody', password: 'x' }).catch((e) => e);
    expect(wrong.code).toBe('invalid_credentials');
    expect([unknown.code, unknown.message]).toEqual([wrong.code, wrong.message]);
  });

  it('gives a new team to somebody who deleted the last one', async () => {
    const { session, actor } = await world.person('jo');
    await world.identity.deleteTeam(actor, { teamId: session.team.id });
    const again = await world.identity.login(nobody, { login: 'jo-u', password: PASSWORD });
    expect(again.team.id).not.toBe(session.team.id);
    expect(again.team.role).toBe('owner');
  });
});

describe('sessions', () => {
  it('end when they expire', async () => {
    const { session } = await world.person('kai');
    await world.clock.advance(6 * 3600 * 1000 - 1000);
    await world.identity.authenticate({ kind: 'jwt', token: session.token }, null);
    await world.clock.advance(1000);
    expect(await codeOf(world.identity.authenticate({ kind: 'jwt', token: session.token }, null))).toBe(
      'unauthorized',
    );
  });

  it('are refused when a byte is changed, the key is not ours, or they are unsigned', async () => {
    const { session } = await world.person('lea');
    const [head = '', body = '', signature = ''] = session.token.split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
    const forged = Buffer.from(JSON.stringify({ ...claims, team: 'team-other' })).toString('base64url');
    const unsigned = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
    for (const token of [`${head}.${forged}.${signature}`, `${unsigned}.${body}.`, 'a.b.c', '']) {
      expect(await codeOf(world.identity.authenticate({ kind: 'jwt', token }, null))).toBe('unauthorized');
    }
  });

  it('all die with a password change, here at once and on other replicas by event', async () => {
    const { session, actor } = await world.person('mia');
    const elsewhere = await world.identity.login(nobody, { login: 'mia-u', password: PASSWORD });
    const replica = await world.replica();
    const isDead = async (token: string, where = world.identity) =>
      where.authenticate({ kind: 'jwt', token }, null).then(
        () => false,
        (error) => error.code === 'unauthorized',
      );
    expect(await isDead(elsewhere.token, replica)).toBe(false); // it is in the replica's memory now

    const change = { currentPassword: PASSWORD, newPassword: 'another fine secret' };
    const fresh = await world.identity.changePassword(actor, change);
    expect(await isDead(session.token)).toBe(true);
    expect(await isDead(elsewhere.token)).toBe(true);
    await eventually(() => isDead(elsewhere.token, replica)); // long before 30 s are over: its clock stands still
    expect(await isDead(fresh.token)).toBe(false);
    expect(await isDead(fresh.token, replica)).toBe(false);

    expect(await codeOf(world.identity.login(nobody, { login: 'mia-u', password: PASSWORD }))).toBe(
      'invalid_credentials',
    );
    await world.identity.login(nobody, { login: 'mia-u', password: change.newPassword });
  });

  it('survive a rotation of the signing key, and new ones are good on all replicas', async () => {
    const { session, actor } = await world.person('nia');
    const replica = await world.replica();
    expect(await codeOf(world.identity.rotateSigningKey({ ...actor, platformRole: 'user' }))).toBe(
      'forbidden',
    );
    await world.identity.rotateSigningKey({ ...actor, platformRole: 'admin' });
    const fresh = await world.identity.login(nobody, { login: 'nia-u', password: PASSWORD });
    const kid = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
    expect(kid(fresh.token)).not.toBe(kid(session.token));
    for (const { token } of [session, fresh]) {
      await world.identity.authenticate({ kind: 'jwt', token }, null);
      await eventually(() =>
        replica.authenticate({ kind: 'jwt', token }, null).then(
          () => true,
          () => false,
        ),
      );
    }
  });
});

it('changes no password without the current one', async () => {
  const { actor } = await world.person('olga');
  const wrong = { currentPassword: 'x', newPassword: 'long enough now' };
  expect(await codeOf(world.identity.changePassword(actor, wrong))).toBe('invalid_credentials');
  const short = { currentPassword: PASSWORD, newPassword: 'short' };
  expect(await codeOf(world.identity.changePassword(actor, short))).toBe('invalid_request');
  const { records } = await world.audit.query({ actorId: actor.accountId, outcome: 'refused' });
  expect(records.map(({ action }) => action)).toEqual(['account.change_password']);
});

it('finds people by the beginning of their address only', async () => {
  const { actor } = await world.person('pim');
  for (let n = 0; n < 12; n += 1) {
    const email = `pat@d${String(n).padStart(2, '0')}.example`;
    await world.identity.signup(nobody, { email, password: PASSWORD, name: 'Pat' });
  }
  const found = await world.identity.searchUsers(actor, { prefix: 'PAT@' });
  expect(found).toHaveLength(10);
  expect(found[0]?.email).toBe('pat@d00.example');
  expect(await world.identity.searchUsers(actor, { prefix: 'p%t@' })).toEqual([]);
  expect(await codeOf(world.identity.searchUsers(actor, { prefix: 'pat' }))).toBe('invalid_request');
});
