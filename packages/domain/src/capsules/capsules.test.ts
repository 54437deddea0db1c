/**
 * The capsules area on a real database and a mock host: states, refusals, races, failures of the host, idle
 * pausing, and the agreement with what a host really has.
 */
import { createMockHost, type MockHost } from '@aviary/drivers/mock';
import { AviaryError, silentLogger } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHosts, type Hosts } from '../hosts/index.ts';
import type { Actor, UserActor } from '../identity/index.ts';
import { codeOf, createWorld, eventually, nobody, type World } from '../identity/testing.ts';
import { createOperations, type Operations } from '../operations/index.ts';
import { type Capsules, createCapsules, migrations } from './index.ts';
import { capsulesOfHost, countLiving } from './queries.ts';

let world: World;
let host: MockHost;
let hosts: Hosts;
let operations: Operations;
let capsules: Capsules;
let hostId: string;
let ada: UserActor;
let bob: UserActor;

beforeAll(async () => {
  world = await createWorld({ migrations });
  const { db, journal, clock } = world;
  host = createMockHost({ clock });
  hosts = createHosts({
    db,
    journal,
    clock,
    log: silentLogger,
    overcommit: { memory: 1, disk: 4, vcpus: 16 },
  });
  ({ id: hostId } = await hosts.ensureLocalHost('test', { ...(await host.facts()), memoryMb: 16_000 }));
  hosts.links.connect(hostId, { capsules: host });
  operations = createOperations({ db, clock, log: silentLogger, owner: 'test' });
  capsules = createCapsules({ db, journal, operations, hosts, clock, log: silentLogger });
  await capsules.attachHost(hostId);
  ada = (await world.person('ada')).actor;
  bob = (await world.person('bob')).actor;
});

afterAll(async () => {
  await capsules.stop();
  await operations.stop();
  await world.close();
});

const eventsOf = async (id: string) =>
  (await world.recorded()).filter(({ resource }) => resource.id === id).map(({ type }) => type);
const onHost = async (id: string) =>
  (await host.list()).find((capsule) => capsule.id === id)?.state ?? 'none';
const reserved = async () => {
  const rows = await capsulesOfHost(world.db.kysely, hostId);
  return rows.filter(({ status }) => status === 'running').length;
};

describe('create', () => {
  test('case 1: a default capsule runs with 1 vCPU, 512 MB, template minimal and no timeout', async () => {
    const capsule = await capsules.create(ada, {});
    expect(capsule).toMatchObject({
      status: 'running',
      vcpus: 1,
      memoryMb: 512,
      template: 'minimal',
      timeoutSec: 0,
      transition: null,
      teamId: ada.teamId,
    });
    expect(await eventsOf(capsule.id)).toEqual(['capsule.created', 'capsule.running']);
    await capsules.destroy(ada, capsule.id);
  });

  test.each([
    ['vcpus', { vcpus: 0 }],
    ['vcpus', { vcpus: 5 }],
    ['vcpus', { vcpus: 1.5 }],
    ['memory_mb', { memoryMb: 127 }],
    ['memory_mb', { memoryMb: 8193 }],
    ['disk_mb', { diskMb: 5119 }],
    ['timeout_sec', { timeoutSec: -1 }],
    ['template', { template: '../etc' }],
    ['user', { user: 'Root!' }],
    ['envs', { envs: { 'A=B': 'c' } }],
    ['metadata', { metadata: { a: 'b\u0000' } }],
  ])('case 6: names the refused field %s and its bounds', async (field, order) => {
    const refused = await capsules.create(ada, order).catch((error: AviaryError) => error);
    expect(refused).toMatchObject({ code: 'invalid_request', details: { field } });
  });

  test('case 5: an unknown template is not found, also when another team has it', async () => {
    const capsule = await capsules.create(bob, {});
    await capsules.createSnapshot(bob, { capsuleId: capsule.id, name: 'bobs' });
    expect(await codeOf(capsules.create(ada, { template: 'bobs' }))).toBe('template_not_found');
    expect(await codeOf(capsules.create(ada, { template: 'nosuch' }))).toBe('template_not_found');
  });

  test('more than the host can hold is refused with what is free, and leaves nothing', async () => {
    const before = (await capsules.list(ada)).capsules.length;
    const big = await capsules.create(ada, { memoryMb: 8192 });
    const refused = await capsules.create(ada, { memoryMb: 8192 }).catch((error: AviaryError) => error);
    expect(refused).toMatchObject({
      code: 'capacity_exceeded',
      details: { free: { memoryMb: expect.any(Number) } },
    });
    await capsules.destroy(ada, big.id);
    expect((await capsules.list(ada)).capsules.length).toBe(before);
  });

  test('a host that cannot make it ends in the error status with the reason, and its room is free again', async () => {
    host.script.failNext('create', new AviaryError('internal', 'the disk is on fire'));
    expect(await codeOf(capsules.create(ada, {}))).toBe('internal');
    const { capsules: failed } = await capsules.list(ada, { status: 'error' });
    expect(failed[0]).toMatchObject({ statusReason: 'the disk is on fire', transition: null });
    expect(await onHost(failed[0]!.id)).toBe('none');
  });
});

describe('who may', () => {
  test('case 3: a capsule of another team does not exist, on every verb', async () => {
    const { id } = await capsules.create(ada, {});
    const verbs: Record<string, () => Promise<unknown>> = {
      get: () => capsules.get(bob, id),
      destroy: () => capsules.destroy(bob, id),
      ping: () => capsules.ping(bob, id),
      setTimeout: () => capsules.setTimeout(bob, id, 5),
      pause: () => capsules.pause(bob, id),
      resume: () => capsules.resume(bob, id),
      fork: () => capsules.fork(bob, id, 1),
      use: () => capsules.use(bob, id, async () => undefined),
      snapshot: () => capsules.createSnapshot(bob, { capsuleId: id }),
    };
    for (const [verb, call] of Object.entries(verbs)) {
      expect(`${verb} ${await codeOf(call())}`).toBe(`${verb} capsule_not_found`);
    }
    expect((await capsules.list(bob)).capsules.map((capsule) => capsule.id)).not.toContain(id);
    await capsules.destroy(ada, id);
  });

  test('nobody may do anything, and the refusal is in the audit log', async () => {
    const calls = [
      () => capsules.create(nobody, {}),
      () => capsules.list(nobody),
      () => capsules.get(nobody, 'cl-x'),
      () => capsules.listTemplates(nobody),
      () => capsules.deleteTemplate(nobody, 'x'),
    ];
    for (const call of calls) expect(await codeOf(call())).toBe('unauthorized');
    const { records } = await world.audit.query({ outcome: 'refused' });
    expect(records.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['capsule.create', 'capsule.list']),
    );
  });
});

describe('life', () => {
  test('case 2: a destroyed capsule is read as stopped and not listed; destroying it again is fine', async () => {
    const { id } = await capsules.create(ada, {});
    await capsules.destroy(ada, id);
    await capsules.destroy(ada, id);
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'stopped' });
    expect((await capsules.list(ada)).capsules.map((capsule) => capsule.id)).not.toContain(id);
    expect(await eventsOf(id)).toEqual(['capsule.created', 'capsule.running', 'capsule.destroyed']);
  });

  test('cases 15 and 17: pause and resume, and what each state refuses', async () => {
    const { id } = await capsules.create(ada, {});
    expect(await codeOf(capsules.resume(ada, id))).toBe('capsule_not_paused');
    expect(await capsules.pause(ada, id)).toMatchObject({ status: 'paused', transition: null });
    for (const call of [capsules.pause, capsules.ping]) {
      expect(await codeOf(call(ada, id))).toBe('capsule_not_running');
    }
    expect(await codeOf(capsules.fork(ada, id, 1))).toBe('capsule_not_running');
    expect(await codeOf(capsules.use(ada, id, async () => undefined))).toBe('capsule_not_running');
    expect(await capsules.resume(ada, id)).toMatchObject({ status: 'running', transition: null });
    await capsules.destroy(ada, id);
    expect(await codeOf(capsules.pause(ada, id))).toBe('capsule_not_running');
  });

  test('case 16: of five pauses at once one wins, the others are refused, and the capsule is paused', async () => {
    const { id } = await capsules.create(ada, {});
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => capsules.pause(ada, id)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        expect(['capsule_busy', 'capsule_not_running']).toContain(outcome.reason.code);
    }
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'paused', transition: null });
    await capsules.destroy(ada, id);
  });

  test('case 29: a failed pause leaves a running capsule', async () => {
    const { id } = await capsules.create(ada, {});
    host.script.failNext('pause', new AviaryError('no_space', 'the host has no room'));
    expect(await codeOf(capsules.pause(ada, id))).toBe('no_space');
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'running', transition: null });
    expect(await capsules.use(ada, id, async (guest) => typeof (await guest.ping()))).toBe('number');
    await capsules.destroy(ada, id);
  });

  test('a failed resume leaves a paused capsule that takes no room', async () => {
    const { id } = await capsules.create(ada, {});
    await capsules.pause(ada, id);
    const before = await reserved();
    host.script.failNext('resume', new AviaryError('internal', 'no'));
    expect(await codeOf(capsules.resume(ada, id))).toBe('internal');
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'paused', transition: null });
    expect(await reserved()).toBe(before);
    await capsules.destroy(ada, id);
  });

  test('destroy waits for what is under way', async () => {
    const { id } = await capsules.create(ada, {});
    let release: (value: unknown) => void = () => undefined;
    host.script.holdNext('pause', new Promise((resolve) => (release = resolve)));
    const pausing = capsules.pause(ada, id);
    await eventually(async () => (await capsules.get(ada, id)).transition === 'pausing');
    const destroying = capsules.destroy(ada, id);
    release(undefined);
    await pausing;
    await eventually(async () => {
      await world.clock.advance(100); // its next try
      return (await capsules.get(ada, id)).status === 'stopped';
    });
    await destroying;
  });

  test('case 28: a capsule that dies says so with the reason and is refused from then on', async () => {
    const { id } = await capsules.create(ada, {});
    host.kill(id, 'killed by a test');
    await eventually(async () => (await capsules.get(ada, id)).status === 'error');
    expect(await capsules.get(ada, id)).toMatchObject({ statusReason: 'killed by a test' });
    expect(await codeOf(capsules.use(ada, id, async () => undefined))).toBe('capsule_not_running');
    expect(await eventsOf(id)).toContain('capsule.error');
    await capsules.destroy(ada, id);
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'stopped' });
  });
});

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
    expect(await codeOf(capsules.fork(ada, id, 2))).toBe('internal');
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'running', transition: null });
    expect((await host.list()).length).toBe(await reserved());
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
  const reap = async () => (await import('./reaper.ts')).reap(parts());
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
    expect(await onHost('cl-stray')).toBe('none');
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
    expect(await onHost(id)).toBe('none');
  });
});
