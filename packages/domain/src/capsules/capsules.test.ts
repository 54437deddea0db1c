/** Capsules one by one: sizes, states, refusals, races, failures of the host. */
import { AviaryError } from '@aviary/kernel';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, eventually, nobody } from '../identity/testing.ts';
import { capsulesOfHost } from './queries.ts';
import { type CapsuleWorld, createCapsuleWorld } from './testing.ts';

let world: CapsuleWorld;
let { host, capsules, hostId, ada, bob } = {} as CapsuleWorld;

beforeAll(async () => {
  world = await createCapsuleWorld();
  ({ host, capsules, hostId, ada, bob } = world);
});
afterAll(() => world.close());

const running = async () => {
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
    expect(await world.eventsOf(capsule.id)).toEqual(['capsule.created', 'capsule.running']);
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
    expect(await codeOf(capsules.create(ada, {}))).toBe('host_failed');
    const { capsules: failed } = await capsules.list(ada, { status: 'error' });
    expect(failed[0]).toMatchObject({
      statusReason: 'the host failed: the disk is on fire',
      transition: null,
    });
    expect(await world.stateOnHost(failed[0]!.id)).toBe('none');
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
    expect(await world.eventsOf(id)).toEqual(['capsule.created', 'capsule.running', 'capsule.destroyed']);
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
    for (const call of [capsules.pause, capsules.resume, capsules.ping]) {
      expect(await codeOf(call(ada, id))).toBe('capsule_not_found');
    }
    expect(await codeOf(capsules.setTimeout(ada, id, 5))).toBe('capsule_not_found');
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
    const before = await running();
    host.script.failNext('resume', new AviaryError('internal', 'no'));
    expect(await codeOf(capsules.resume(ada, id))).toBe('host_failed');
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'paused', transition: null });
    expect(await running()).toBe(before);
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
    expect(await world.eventsOf(id)).toContain('capsule.error');
    await capsules.destroy(ada, id);
    expect(await capsules.get(ada, id)).toMatchObject({ status: 'stopped' });
  });
});
