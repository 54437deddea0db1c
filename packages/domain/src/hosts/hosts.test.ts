/** Hosts and placing on them, against a real database. */
import { transaction } from '@aviary/db';
import { silentLogger } from '@aviary/kernel';
import type { CapsuleHost } from '@aviary/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, createWorld, nobody, type World } from '../identity/testing.ts';
import { createHosts, type HostFacts, type Hosts } from './index.ts';

let world: World;
let hosts: Hosts;
beforeEach(async () => {
  world = await createWorld();
  hosts = make();
});
afterEach(() => world.close());

const make = () =>
  createHosts({
    db: world.db,
    journal: world.journal,
    clock: world.clock,
    log: silentLogger,
    overcommit: { memory: 2, disk: 1, vcpus: 4 },
  });
const facts: HostFacts = {
  arch: 'x86_64',
  cpuCores: 2,
  memoryMb: 1_000,
  diskMb: 10_000,
  acceleration: 'mock',
  accelerationReason: 'a test',
  network: { egress: false, reason: 'a test' },
  confinement: { full: false, reason: 'a test' },
  versions: {},
};
/** Nothing here calls it; only whether it is there matters. */
const link = { capsules: { facts: async () => facts } as unknown as CapsuleHost };
const local = async (name = 'here', more: Partial<HostFacts> = {}) => {
  const host = await hosts.ensureLocalHost(name, { ...facts, ...more });
  const end = hosts.links.connect(host.id, link);
  return { host, end };
};
const need = { diskMb: 100, vcpus: 1, teamId: 'team-1' };
const reserve = (subject: string, memoryMb: number, more: object = {}) =>
  transaction(world.db.kysely, (trx) => hosts.reserve(trx, { subject, memoryMb, ...need, ...more }));
const reserved = async () => {
  const rows = await world.db.kysely
    .selectFrom('host')
    .select(['reserved_memory_mb', 'reserved_disk_mb', 'reserved_vcpus'])
    .orderBy('created_at')
    .execute();
  return rows.map((row) => [row.reserved_memory_mb, row.reserved_disk_mb, row.reserved_vcpus]);
};

describe('this machine', () => {
  it('is made once and brought up to date at each start', async () => {
    const { host } = await local();
    expect(host).toMatchObject({ type: 'regular', status: 'online', memoryMb: 1_000, createdBy: 'system' });
    await world.clock.advance(1_000);
    const { host: again } = await local('here', { memoryMb: 2_000 });
    expect(again).toMatchObject({ id: host.id, memoryMb: 2_000, createdAt: host.createdAt });
    const types = (await world.recorded()).map(({ type }) => type);
    expect(types).toEqual(['host.created', 'host.up', 'host.up']);
  });

  it('is seen by platform admins only', async () => {
    const { host } = await local();
    const { actor: admin } = await world.person('ann');
    const { actor: user } = await world.person('bob');
    expect(await hosts.list(admin)).toEqual([host]);
    expect(await hosts.get(admin, host.id)).toEqual(host);
    expect(await hosts.list(user)).toEqual([]);
    expect(await codeOf(hosts.get(user, host.id))).toBe('not_found');
    expect(await codeOf(hosts.list(nobody))).toBe('unauthorized');
  });
});

describe('reserving', () => {
  it('takes, replaces and gives back', async () => {
    const { host } = await local();
    expect(await reserve('a', 500)).toEqual({ hostId: host.id });
    await reserve('b', 300);
    expect(await reserved()).toEqual([[800, 200, 2]]);
    await reserve('a', 0, { vcpus: 0 });
    expect(await reserved()).toEqual([[300, 200, 1]]);
    await transaction(world.db.kysely, (trx) => hosts.release(trx, 'a'));
    await transaction(world.db.kysely, (trx) => hosts.release(trx, 'a'));
    expect(await reserved()).toEqual([[300, 100, 1]]);
  });

  it('stops at what may be promised, and says what is free', async () => {
    await local();
    await reserve('a', 1_500);
    await expect(reserve('b', 501)).rejects.toMatchObject({
      code: 'capacity_exceeded',
      details: { free: { memoryMb: 500, diskMb: 9_900, vcpus: 7 } },
    });
    await reserve('b', 500);
    expect(await codeOf(reserve('a', 1_501))).toBe('capacity_exceeded');
    expect(await codeOf(reserve('c', 0, { vcpus: 8 }))).toBe('capacity_exceeded');
    expect(await codeOf(reserve('c', 0, { diskMb: 10_000 }))).toBe('capacity_exceeded');
    await reserve('a', 100);
  });

  it('never promises the same twice, however many ask at once', async () => {
    await local();
    const asked = await Promise.allSettled(
      Array.from({ length: 30 }, (_, n) => reserve(`c${n}`, 100, { vcpus: 0 })),
    );
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
    expect(await reserved()).toEqual([[2_000, 2_000, 0]]);
  });

  it('rolls back with its transaction', async () => {
    await local();
    const undone = transaction(world.db.kysely, async (trx) => {
      await hosts.reserve(trx, { subject: 'a', memoryMb: 100, ...need });
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await reserved()).toEqual([[0, 0, 0]]);
  });

  it('prefers the emptier host, and stays where the workload is', async () => {
    const one = (await local('one')).host.id;
    await world.clock.advance(1);
    const two = (await local('two', { memoryMb: 2_000 })).host.id;
    const first = await reserve('a', 400);
    const second = await reserve('b', 100);
    expect(new Set([first.hostId, second.hostId])).toEqual(new Set([one, two]));
    expect(await reserve('a', 500)).toEqual(first);
    expect(await reserve('c', 1, { hostId: one })).toEqual({ hostId: one });
  });

  it('goes to connected hosts only', async () => {
    expect(await codeOf(reserve('a', 1))).toBe('host_unavailable');
    const { host, end } = await local();
    await reserve('a', 1);
    end();
    expect(await codeOf(reserve('b', 1))).toBe('host_unavailable');
    expect(() => hosts.links.capsules(host.id)).toThrow('not connected');
    await reserve('a', 2); // it is there already
  });
});
