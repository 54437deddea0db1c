/** Operations against a real database with a clock that is moved by hand: run, finish, fail, retry, schedule. */
import { transaction } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, type World } from '../identity/testing.ts';
import type { Operations } from './index.ts';
import { createPlanes, type Planes } from './testing.ts';

let world: World;
let plane: Planes['plane'];
let enqueue: Planes['enqueue'];
let whileTimePasses: Planes['whileTimePasses'];
let audits: Planes['audits'];
let note: Planes['note'];
let close: () => Promise<void>;
beforeEach(async () => {
  ({ world, plane, enqueue, whileTimePasses, audits, note, close } = await createPlanes());
});
afterEach(() => close());

describe('run', () => {
  it('commits the end together with what it means', async () => {
    const operations = await plane('a', { run: async (ctx) => void (await note(ctx, 'test.done')) });
    const queued = await enqueue(operations);
    expect(await operations.run(queued)).toEqual({ did: 'test.done' });
    expect(await audits()).toEqual(['test.done']);
    // both rows were written by one transaction
    const { rows } = await sql`select 1 from audit_log a join operation o on o.xmin = a.xmin`.execute(
      world.db.kysely,
    );
    expect(rows).toHaveLength(1);
    expect(await operations.get(queued.id)).toMatchObject({
      state: 'succeeded',
      result: { did: 'test.done' },
      attempt: 1,
      finishedAt: world.clock.now(),
    });
  });

  it('stores what the handler returns when it does not finish itself', async () => {
    const operations = await plane('a', { run: async (_ctx, input) => ({ got: input }) });
    expect(await operations.run(await enqueue(operations))).toEqual({ got: { n: 1 } });
  });

  it('leaves nothing when the caller rolls back', async () => {
    const operations = await plane('a', {});
    const undone = transaction(world.db.kysely, async (trx) => {
      await operations.enqueue(trx, { kind: 'work', subject: 's', teamId: null, input: null });
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await operations.list({})).toEqual([]);
  });

  it('fails with the code of the error, together with what that means', async () => {
    const operations = await plane('a', {
      run: async () => {
        throw new AviaryError('capacity_exceeded', 'full');
      },
      failed: async (trx, operation, error) => {
        await world.audit.record(trx, {
          action: `test.${error.code}`,
          outcome: 'failed',
          actor: { kind: 'system', part: 'x' },
          teamId: null,
          resource: { type: 'capsule', id: operation.subject },
        });
      },
    });
    const queued = await enqueue(operations);
    expect(await codeOf(operations.run(queued))).toBe('capacity_exceeded');
    expect(await operations.get(queued.id)).toMatchObject({
      state: 'failed',
      error: { code: 'capacity_exceeded', message: 'full' },
    });
    expect(await audits()).toEqual(['test.capacity_exceeded']);
  });

  it('changes nothing when finishing fails', async () => {
    const operations = await plane('a', {
      run: async (ctx) => {
        await ctx.finish(async (trx) => {
          await sql`insert into audit_pending values (1)`.execute(trx);
          throw new AviaryError('conflict', 'changed meanwhile');
        });
        return null;
      },
    });
    const queued = await enqueue(operations);
    expect(await codeOf(operations.run(queued))).toBe('conflict');
    expect((await sql`select * from audit_pending`.execute(world.db.kysely)).rows).toEqual([]);
  });

  it('answers the first one for the same idempotency key', async () => {
    let runs = 0;
    const operations = await plane('a', { run: async () => ++runs });
    const first = await enqueue(operations, { idempotencyKey: 'k' });
    const again = await enqueue(operations, { idempotencyKey: 'k', input: { n: 2 } });
    const other = await enqueue(operations, { idempotencyKey: 'k', teamId: 'team-2' });
    expect([again.id, again.leased]).toEqual([first.id, false]);
    expect(other.id).not.toBe(first.id);
    const waiting = operations.run(again);
    expect(await operations.run(first)).toBe(1);
    await world.clock.advance(1_000);
    expect(await waiting).toBe(1);
  });

  it('tries again when the handler says so, after the time it says', async () => {
    const times: number[] = [];
    const operations = await plane('a', {
      run: async (ctx) => {
        times.push(world.clock.now().getTime());
        if (ctx.attempt < 3) throw new AviaryError('host_unavailable', 'not yet');
        return ctx.attempt;
      },
      retry: (_error, attempt) => attempt * 10_000,
    });
    await operations.start();
    const queued = await enqueue(operations);
    const result = operations.run(queued);
    await whileTimePasses(async () => (await operations.get(queued.id)).finishedAt !== null);
    await world.clock.advance(1_000);
    expect(await result).toBe(3);
    const [one = 0, two = 0, three = 0] = times;
    expect(two - one).toBeGreaterThanOrEqual(10_000);
    expect(three - two).toBeGreaterThanOrEqual(20_000);
  });
});

describe('schedules', () => {
  it('run when their time has come, once, whoever looks', async () => {
    let runs = 0;
    const planes = await Promise.all(['a', 'b'].map((owner) => plane(owner, { run: async () => ++runs })));
    const [first] = planes;
    if (first === undefined) throw new Error('two planes');
    const queued = await enqueue(first, { runAt: new Date(world.clock.now().getTime() + 5_000) });
    expect(await first.get(queued.id)).toMatchObject({ state: 'scheduled', attempt: 0 });
    for (const one of planes) await one.start();
    await world.clock.advance(4_000);
    expect((await first.get(queued.id)).state).toBe('scheduled');
    await whileTimePasses(async () => (await first.get(queued.id)).state === 'succeeded');
    expect(runs).toBe(1);
  });
});

it('keeps progress and log lines, written in batches', async () => {
  const operations = await plane('a', {
    run: async (ctx) => {
      for (let n = 0; n <= 100; n += 1) ctx.progress(`step ${n}`, n);
      ctx.log('one');
      ctx.log('two');
      return null;
    },
  });
  const queued = await enqueue(operations);
  await operations.run(queued);
  expect((await operations.get(queued.id)).progress).toEqual({ text: 'step 100', percent: 100 });
  const lines = await operations.logs(queued.id);
  expect(lines.map(({ text }) => text)).toEqual(['one', 'two']);
  expect(await operations.logs(queued.id, lines[0]?.seq)).toHaveLength(1);
});

it('is seen by its own team only, newest first', async () => {
  const operations = await plane('a', {});
  const ids: string[] = [];
  for (const teamId of ['t1', 't2', 't1']) {
    ids.push((await enqueue(operations, { teamId })).id);
    await world.clock.advance(1);
  }
  const [one = '', two = '', three = ''] = ids;
  expect(await codeOf(operations.get(two, 't1'))).toBe('not_found');
  const list = async (query: Parameters<Operations['list']>[0]) =>
    (await operations.list(query)).map(({ id }) => id);
  expect(await list({ teamId: 't1' })).toEqual([three, one]);
  expect(await list({ before: three })).toEqual([two, one]);
  expect(await list({ states: ['succeeded'] })).toEqual([]);
});
