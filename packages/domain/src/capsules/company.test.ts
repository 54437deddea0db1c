/** Capsules among others: forks, snapshots, idle ones, lists, and the agreement with what a host really has. */
import { AviaryError, silentLogger } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Actor } from '../identity/index.ts';
import { codeOf, eventually, nobody } from '../identity/testing.ts';
import { capsulesOfHost, countLiving } from './queries.ts';
import { reap as reapOnce } from './reaper.ts';
import { type CapsuleWorld, createCapsuleWorld } from './testing.ts';

let world: CapsuleWorld;
let { host, hosts, operations, capsules, hostId, ada, bob } = {} as CapsuleWorld;

beforeAll(async () => {
  world = await createCapsuleWorld();
  ({ host, hosts, operations, capsules, hostId, ada, bob } = world);
});
afterAll(() => world.close());

const running = async () => {
  const rows = await capsulesOfHost(world.db.kysely, hostId);
  return rows.filter(({ status }) => status === 'running').length;
};

describe('forks and snapshots', () => {
  test('case 34: count distinct children run beside the source; bad counts are refused', async () => {
    const { id } = await capsules.create(ada, { metadata: { role: 'source' } });
    const children = await capsules.fork(ada, id, 3);
    expect(new Set([id, ...children.map((child) => child.id)]).size).toBe(4);
    for (const child of children)
      expect(child).toMatchObject({ status: 'running', template: 'minimal', memoryMb: 512 });
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'running', transition: null });
    for (const count of [0, -1, 65, 1.5])
      expect(await codeOf(capsules.fork(ada, id, count))).toBe('invalid_request');
    for (const child of children) await capsules.destroy(ada, child.id);
    await capsules.destroy(ada, id);
  });

  test('a failed fork leaves the source running and no child', async () => {
    const { id } = await capsules.create(ada, {});
    host.script.failNext('fork', new AviaryError('internal', 'no'));
    expect(await codeOf(capsules.fork(ada, id, 2))).toBe('host_failed');
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'running', transition: null });
    expect((await host.list()).length).toBe(await running());
    await capsules.destroy(ada, id);
  });

  test('case 31: names, duplicates, overwrite, reserved names; the source ends unless it is kept', async () => {
    const first = await capsules.create(ada, {});
    const auto = await capsules.createSnapshot(ada, { capsuleId: first.id, keepRunning: true });
    expect(auto.name).toMatch(/^template-[0-9a-f]{8}$/);
    expect(await capsules.get(ada, first.id)).toMatchObject({ status: 'running' });
    const named = await capsules.createSnapshot(ada, {
      capsuleId: first.id,
      name: 'mine',
      keepRunning: true,
    });
    expect(named).toMatchObject({ type: 'snapshot', vcpus: 1, memoryMb: 512 });
    const again = { capsuleId: first.id, name: 'mine' };
    expect(await codeOf(capsules.createSnapshot(ada, again))).toBe('template_name_taken');
    expect(await codeOf(capsules.createSnapshot(ada, { ...again, name: 'minimal' }))).toBe('name_reserved');
    expect(await codeOf(capsules.createSnapshot(ada, { ...again, name: 'a/b' }))).toBe('invalid_request');
    const replaced = await capsules.createSnapshot(ada, { ...again, overwrite: true });
    expect(replaced.id).not.toBe(named.id);
    expect(await capsules.get(ada, first.id)).toMatchObject({ status: 'stopped' });
    expect((await host.snapshots()).map(({ id }) => id)).not.toContain(named.id);

    const names = (await capsules.listTemplates(ada)).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['minimal', 'mine', auto.name]));
    expect((await capsules.listTemplates(ada, 'base')).map(({ name }) => name)).toEqual(['minimal']);
    expect((await capsules.listTemplates(bob)).map(({ name }) => name)).not.toContain('mine');
  });

  test('cases 32 and 33: sizes come from the snapshot; deleting it spares its children', async () => {
    const source = await capsules.create(ada, { vcpus: 2, memoryMb: 256 });
    await capsules.createSnapshot(ada, { capsuleId: source.id, name: 'sized' });
    const child = await capsules.create(ada, { template: 'sized', vcpus: 1, memoryMb: 512 });
    expect(child).toMatchObject({ template: 'sized', vcpus: 2, memoryMb: 256 });
    expect(await codeOf(capsules.deleteTemplate(bob, 'sized'))).toBe('template_not_found');
    await capsules.deleteTemplate(ada, 'sized');
    expect(await codeOf(capsules.deleteTemplate(ada, 'sized'))).toBe('template_not_found');
    expect(await codeOf(capsules.deleteTemplate(ada, 'minimal'))).toBe('forbidden');
    expect(await capsules.get(ada, child.id)).toMatchObject({ status: 'running' });
    expect(await codeOf(capsules.create(ada, { template: 'sized' }))).toBe('template_not_found');
    await capsules.destroy(ada, child.id);
  });
});

describe('idle capsules', () => {
  const reap = () => reapOnce(parts());
  const parts = () => {
    const activity = {
      touch() {},
      begin: () => () => {},
      inUse: () => false,
      lastSeen: () => null,
      forget() {},
      flush: async () => {},
    };
    const { db, journal, clock } = world;
    return { db, journal, operations, hosts, clock, log: silentLogger, activity, orders: new Map() };
  };

  test('cases 8 and 11: paused after its time without activity, not before, and a ping counts', async () => {
    const { id } = await capsules.create(ada, { timeoutSec: 60 });
    await world.clock.advance(59_000);
    expect(await reap()).toEqual([]);
    await capsules.setTimeout(ada, id, 120);
    await world.clock.advance(119_000);
    expect(await reap()).toEqual([]);
    await world.clock.advance(2_000);
    expect(await reap()).toEqual([id]);
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'paused' });
    await capsules.destroy(ada, id);
  });
});

describe('list', () => {
  test('case 7: filters, and pages that stay stable while capsules come', async () => {
    const { actor } = await world.person('list');
    const made: string[] = [];
    for (let n = 0; n < 5; n++) {
      await world.clock.advance(10);
      made.unshift((await capsules.create(actor, { metadata: { n: String(n), kind: 'x' } })).id);
    }
    const first = await capsules.list(actor, { limit: 2 });
    await world.clock.advance(10);
    const late = await capsules.create(actor, {});
    const second = await capsules.list(actor, { limit: 2, cursor: first.nextCursor! });
    const third = await capsules.list(actor, { limit: 2, cursor: second.nextCursor! });
    expect([first, second, third].flatMap((page) => page.capsules.map(({ id }) => id))).toEqual(made);
    expect(third.nextCursor).toBeNull();
    expect((await capsules.list(actor, { metadata: { n: '3' } })).capsules.map(({ id }) => id)).toEqual([
      made[1],
    ]);
    await capsules.pause(actor, made[0]!);
    expect((await capsules.list(actor, { status: 'paused' })).capsules.map(({ id }) => id)).toEqual([
      made[0],
    ]);
    for (const cursor of ['x', ''])
      expect(await codeOf(capsules.list(actor, { cursor }))).toBe('invalid_request');
    for (const limit of [0, 1001])
      expect(await codeOf(capsules.list(actor, { limit }))).toBe('invalid_request');
    for (const id of [...made, late.id]) await capsules.destroy(actor, id);
  });
});

describe('count', () => {
  test('is of those that exist, and does not look at those that are gone', async () => {
    const before = await capsules.countByStatus();
    const capsule = await capsules.create(ada, {});
    expect(await capsules.countByStatus()).toEqual({ ...before, running: (before['running'] ?? 0) + 1 });
    const { kysely } = world.db;
    await sql`insert into capsule select id || '-' || n, team_id, host_id, 'stopped', null, null,
      template_name, template_ref, vcpus, memory_mb, disk_mb, timeout_sec, metadata, default_user, guest_ip,
      created_by, created_at, started_at, last_active_at, updated_at
      from capsule, generate_series(1, 20000) n where id = ${capsule.id}`.execute(kysely);
    await sql`analyze capsule`.execute(kysely);
    expect(await capsules.countByStatus()).toEqual({ ...before, running: (before['running'] ?? 0) + 1 });
    const plan = JSON.stringify(await countLiving(kysely).explain('json'));
    expect(plan).toContain('capsule_host');
    expect(plan).not.toContain('Seq Scan');
    await sql`delete from capsule where id like ${`${capsule.id}-%`}`.execute(kysely);
    await capsules.destroy(ada, capsule.id);
  });
});

describe('after a restart', () => {
  const system: Actor = { kind: 'system', part: 'test' };

  test('rows follow what the host has, and the host loses what nobody owns', async () => {
    const kept = await capsules.create(ada, {});
    const lost = await capsules.create(ada, {});
    const slept = await capsules.create(ada, {});
    await host.destroy(lost.id);
    await host.pause(slept.id);
    const stray = { ...(await capsules.get(ada, kept.id)), envs: {} };
    await host.create({ ...stray, id: 'cl-stray', template: stray.templateRef });
    await capsules.attachHost(hostId);
    expect(await capsules.get(system, kept.id)).toMatchObject({ status: 'running' });
    expect(await capsules.get(system, lost.id)).toMatchObject({
      status: 'error',
      statusReason: expect.stringMatching(/host/),
    });
    expect(await capsules.get(system, slept.id)).toMatchObject({ status: 'paused' });
    expect(await world.stateOnHost('cl-stray')).toBe('none');
    for (const { id } of [kept, lost, slept]) await capsules.destroy(ada, id);
  });

  test('what a deleted team had is destroyed', async () => {
    const { actor } = await world.person('leaver');
    const team = await world.identity.createTeam(actor, { name: 'Short lived' });
    const session = await world.identity.switchTeam(actor, { teamId: team.id });
    const owner = await world.identity.authenticate({ kind: 'jwt', token: session.token }, nobody.ip);
    const { id } = await capsules.create(owner, {});
    await capsules.start(world.events);
    await world.identity.deleteTeam(owner, { teamId: team.id });
    await eventually(async () => (await capsules.get(system, id)).status === 'stopped');
    expect(await world.stateOnHost(id)).toBe('none');
  });
});
