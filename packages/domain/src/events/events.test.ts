/** Recording and delivery against a real database: order, rollbacks, replicas, failing handlers. */
import { transaction } from '@aviary/db';
import { silentLogger } from '@aviary/kernel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWorld, eventually, type World } from '../identity/testing.ts';
import { createEvents, type DomainEvent, type Events, type NewEvent } from './index.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const renamed = (id: string, name: string, teamId = id): NewEvent => ({
  type: 'team.renamed',
  teamId,
  actor: { type: 'system', id: 'test', name: 'test' },
  resource: { type: 'team', id },
  data: { name },
});
const record = (...list: NewEvent[]) =>
  transaction(world.db.kysely, async (trx) => {
    for (const event of list) await world.events.record(trx, event);
  });
const names = (list: readonly DomainEvent[]) =>
  list.map((event) => (event.type === 'team.renamed' ? event.data.name : event.type));
const range = (count: number) => Array.from({ length: count }, (_, n) => String(n));

describe('live subscribers', () => {
  it('get what was committed, with all of it, and only what they asked for', async () => {
    const seen: DomainEvent[] = [];
    world.events.subscribe('one', { teamId: 'a', types: ['team.renamed'] }, (event) => seen.push(event));
    await record(renamed('x', 'other', 'b'), renamed('x', 'mine', 'a'));
    await eventually(() => seen.length > 0);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ ...renamed('x', 'mine', 'a'), at: world.clock.now() });
    expect(seen[0]?.id).toMatch(/^evt-/);
  });

  it('get nothing that was rolled back, and everything after it', async () => {
    const seen: DomainEvent[] = [];
    world.events.subscribe('one', {}, (event) => seen.push(event));
    const undone = transaction(world.db.kysely, async (trx) => {
      await world.events.record(trx, renamed('x', 'undone'));
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    await record(renamed('x', 'done'));
    await eventually(() => seen.length > 0);
    expect(names(seen)).toEqual(['done']);
  });

  it('get an event that was numbered early and committed late, in every replica', async () => {
    const other = createEvents({
      db: await world.db.replica(),
      clock: world.liveClock,
      log: silentLogger,
      owner: 'b',
    });
    await other.start();
    const seen: string[] = [];
    const seenThere: string[] = [];
    world.events.subscribe('one', {}, (event) => seen.push(...names([event])));
    other.subscribe('one', {}, (event) => seenThere.push(...names([event])));
    await transaction(world.db.kysely, async (trx) => {
      await world.events.record(trx, renamed('x', 'early'));
      await record(renamed('y', 'late'));
      await eventually(() => seen.length === 1 && seenThere.length === 1);
      expect(seen).toEqual(['late']); // another resource's event does not wait
    });
    await eventually(() => seen.length === 2 && seenThere.length === 2);
    expect(seenThere).toEqual(['late', 'early']);
    await other.stop();
  });

  it('lose none of many at once, and see each resource in order', async () => {
    const seen: DomainEvent[] = [];
    world.events.subscribe('one', {}, (event) => seen.push(event));
    const chain = async (id: string) => {
      for (const n of range(20)) {
        await record(renamed(id, n)).catch(() => undefined);
        // every third transaction rolls back and leaves a hole
        if (Number(n) % 3 !== 0) continue;
        await transaction(world.db.kysely, async (trx) => {
          await world.events.record(trx, renamed(id, 'undone'));
          throw new Error('no');
        }).catch(() => undefined);
      }
    };
    await Promise.all(range(10).map(chain));
    await eventually(() => seen.length === 200);
    for (const id of range(10)) {
      expect(names(seen.filter(({ resource }) => resource.id === id))).toEqual(range(20));
    }
  });

  it('do not suffer from each other', async () => {
    const seen: DomainEvent[] = [];
    world.events.subscribe('bad', {}, () => {
      throw new Error('mine');
    });
    const end = world.events.subscribe('good', {}, (event) => seen.push(event));
    await record(renamed('x', 'one'));
    await eventually(() => seen.length === 1);
    end();
    await record(renamed('x', 'two'));
    const later: DomainEvent[] = [];
    world.events.subscribe('later', {}, (event) => later.push(event));
    await record(renamed('x', 'three'));
    await eventually(() => names(later).includes('three'));
    expect(names(seen)).toEqual(['one']);
  });
});

describe('durable subscribers', () => {
  /** Another process: its own owner and pool. */
  const another = async (owner: string): Promise<Events> =>
    createEvents({ db: await world.db.replica(), clock: world.liveClock, log: silentLogger, owner });

  it('go on where they were, in the order of recording', async () => {
    const first: DomainEvent[] = [];
    const end = await world.events.subscribeDurably('d', {}, async (event) => void first.push(event));
    await record(renamed('x', '1'), renamed('x', '2'));
    await eventually(() => first.length === 2);
    await end();
    await record(renamed('x', '3'));
    const next: DomainEvent[] = [];
    await (await another('b')).subscribeDurably('d', {}, async (event) => void next.push(event));
    await eventually(() => next.length > 0);
    expect([names(first), names(next)]).toEqual([['1', '2'], ['3']]);
  });

  it('start at the present', async () => {
    await record(renamed('x', 'past'));
    const seen: DomainEvent[] = [];
    await world.events.subscribeDurably('d', {}, async (event) => void seen.push(event));
    await record(renamed('x', 'now'));
    await eventually(() => seen.length > 0);
    expect(names(seen)).toEqual(['now']);
  });

  it('wait for what was numbered before and is not committed yet', async () => {
    const seen: string[] = [];
    await world.events.subscribeDurably('d', {}, async (event) => void seen.push(...names([event])));
    const live: string[] = [];
    world.events.subscribe('l', {}, (event) => live.push(...names([event])));
    await transaction(world.db.kysely, async (trx) => {
      await world.events.record(trx, renamed('x', 'early'));
      await record(renamed('y', 'late'));
      await eventually(() => live.length === 1);
      expect(seen).toEqual([]);
    });
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(['early', 'late']);
  });

  it('run in one process at a time', async () => {
    const seen: [string, string][] = [];
    for (const owner of ['b', 'c']) {
      await (await another(owner)).subscribeDurably('d', {}, async (event) => {
        seen.push([owner, ...names([event])] as [string, string]);
      });
    }
    for (const n of range(30)) await record(renamed('x', n));
    await eventually(() => seen.length >= 30);
    expect(seen.map(([, name]) => name)).toEqual(range(30));
    expect(new Set(seen.map(([owner]) => owner)).size).toBe(1);
  });

  it('try a failing event again before the next one', async () => {
    const seen: string[] = [];
    let failures = 1;
    await world.events.subscribeDurably('d', {}, async (event) => {
      seen.push(...names([event]));
      if (names([event])[0] === '1' && failures-- > 0) throw new Error('not yet');
    });
    await record(renamed('x', '0'), renamed('x', '1'), renamed('x', '2'));
    await eventually(() => seen.length === 4);
    expect(seen).toEqual(['0', '1', '1', '2']);
  });
});

it('lists by team, type, resource and page', async () => {
  await record(renamed('x', '1', 'a'), renamed('y', '2', 'a'), renamed('x', '3', 'b'));
  expect(names(await world.events.list({ teamId: 'a' }))).toEqual(['2', '1']);
  expect(names(await world.events.list({ resourceId: 'x' }))).toEqual(['3', '1']);
  const [last] = await world.events.list({ limit: 1 });
  expect(names(await world.events.list({ beforeSeq: last?.seq ?? 0, types: ['team.renamed'] }))).toEqual([
    '2',
    '1',
  ]);
  expect(await world.events.list({ types: ['host.up'] })).toEqual([]);
});

it('forgets what is old, but nothing that a durable subscriber has not read', async () => {
  const events = createEvents({
    db: await world.db.replica(),
    clock: world.clock,
    log: silentLogger,
    owner: 'z',
  });
  await record(renamed('x', 'old'));
  await world.clock.advance(31 * 24 * 3_600_000);
  await record(renamed('x', 'new'));
  await world.db.kysely
    .insertInto('event_subscriber')
    .values({ name: 'slow', cursor: 0, lease_owner: null, lease_until: null })
    .execute();
  await events.start();
  await world.clock.advance(1);
  expect(names(await world.events.list({}))).toEqual(['new', 'old']);
  await world.db.kysely.updateTable('event_subscriber').set({ cursor: 1_000 }).execute();
  await eventually(async () => {
    await world.clock.advance(600_000);
    return (await world.events.list({})).length === 1;
  });
  await events.stop();
});
