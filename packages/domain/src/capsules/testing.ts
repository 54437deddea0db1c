/** The capsules area on a real database with a mock host and two people. For tests of the area. */
import { createMockHost, type MockHost } from '@aviary/drivers/mock';
import { silentLogger } from '@aviary/kernel';
import { createHosts, type Hosts } from '../hosts/index.ts';
import type { UserActor } from '../identity/index.ts';
import { createWorld, type World } from '../identity/testing.ts';
import { createOperations, type Operations } from '../operations/index.ts';
import { type Capsules, createCapsules, migrations } from './index.ts';

export interface CapsuleWorld extends World {
  host: MockHost;
  hosts: Hosts;
  operations: Operations;
  capsules: Capsules;
  hostId: string;
  ada: UserActor;
  bob: UserActor;
  /** Types of the events about a capsule, oldest first. */
  eventsOf(id: string): Promise<string[]>;
  /** State of a capsule on the host, `none` when it has none. */
  stateOnHost(id: string): Promise<string>;
}

/** A world whose host has 16,000 MB of memory and promises no more. */
export async function createCapsuleWorld(): Promise<CapsuleWorld> {
  const world = await createWorld({ migrations });
  const { db, journal, clock } = world;
  const log = silentLogger;
  const host = createMockHost({ clock });
  const hosts = createHosts({ db, journal, clock, log, overcommit: { memory: 1, disk: 4, vcpus: 16 } });
  const { id: hostId } = await hosts.ensureLocalHost('test', { ...(await host.facts()), memoryMb: 16_000 });
  hosts.links.connect(hostId, { capsules: host });
  const operations = createOperations({ db, clock, log, owner: 'test' });
  const capsules = createCapsules({ db, journal, operations, hosts, clock, log });
  await capsules.attachHost(hostId);
  return {
    ...world,
    host,
    hosts,
    operations,
    capsules,
    hostId,
    ada: (await world.person('ada')).actor,
    bob: (await world.person('bob')).actor,
    eventsOf: async (id) =>
      (await world.recorded()).filter(({ resource }) => resource.id === id).map(({ type }) => type),
    stateOnHost: async (id) => (await host.list()).find((capsule) => capsule.id === id)?.state ?? 'none',
    close: async () => {
      await capsules.stop();
      await operations.stop();
      await world.close();
    },
  };
}
