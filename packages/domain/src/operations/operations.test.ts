/** Operations against a real database with a clock that is moved by hand: run, finish, take over, fence, cancel. */
import { transaction } from '@aviary/db';
import { AviaryError, silentLogger } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, createWorld, eventually, type World } from '../identity/testing.ts';
import {
  createOperations,
  type NewOperation,
  type OperationContext,
  type OperationHandler,
  type Operations,
} from './index.ts';

let world: World;
const made: Operations[] = [];
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await Promise.all(made.splice(0).map((operations) => operations.stop(0)));
  await world.close();
});

/** A control plane's operations. `dead`: it never renews, as a process that hangs or was killed. */
const plane = async (
  owner: string,
  handler: Partial<OperationHandler>,
  dead = false,
): Promise<Operations> => {
  const clock = dead ? { ...world.clock, sleep: () => new Promise<void>(() => undefined) } : world.clock;
  const operations = createOperations({ db: await world.db.replica(), clock, log: silentLogger, owner });
  operations.register({ kind: 'work', run: async () => null, ...handler });
  if (!dead) made.push(operations);
  return operations;
};
const enqueue = (operations: Operations, more: Partial<NewOperation> = {}) =>
  transaction(world.db.kysely, (trx) =>
    operations.enqueue(trx, { kind: 'work', subject: 'cl-1', teamId: 'team-1', input: { n: 1 }, ...more }),
  );
/** Moves time on in small steps until `check` holds: what wakes up asks PostgreSQL before it sleeps again. */
const whileTimePasses = (check: () => Promise<boolean>) =>
  eventually(async () => {
    await world.clock.advance(500);
    return check();
  });
/** A gate that a handler waits at. */
const gate = () => {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
};
const audits = async () =>
  (await world.audit.query({ limit: 500 })).records.map(({ action }) => action).reverse();
const note = (ctx: OperationContext, action: string) =>
  ctx.finish(async (trx) => {
    await world.audit.record(trx, {
      action,
      outcome: 'done',
      actor: { kind: 'system', part: 'x' },
      teamId: null,
      resource: null,
    });
    return { did: action };
  });

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

describe('takeover', () => {
  it('happens when the lease ran out, with a higher fence, and the old process can write nothing more', async () => {
    const hold = gate();
    let refused = false;
    const stuck = await plane(
      'a',
      {
        run: async (ctx) => {
          await hold.passed;
          refused = (await codeOf(note(ctx, 'test.old'))) === 'conflict';
          return null;
        },
      },
      true,
    );
    const fences: number[] = [];
    const next = await plane('b', {
      run: async (ctx) => {
        fences.push(ctx.fence, ctx.attempt);
        await note(ctx, 'test.new');
        return null;
      },
    });
    const queued = await enqueue(stuck);
    stuck.runInBackground(queued);
    await next.start();
    await world.clock.advance(14_000);
    expect(await audits()).toEqual([]);
    await whileTimePasses(async () => (await next.get(queued.id)).state === 'succeeded');
    expect(fences).toEqual([2, 2]);
    hold.open();
    await eventually(() => refused);
    expect(await audits()).toEqual(['test.new']);
    expect((await next.get(queued.id)).result).toEqual({ did: 'test.new' });
  });

  it('does not happen while the process renews', async () => {
    const hold = gate();
    const runs: string[] = [];
    const handler = (name: string) => ({
      run: async () => {
        runs.push(name);
        await hold.passed;
        return null;
      },
    });
    const one = await plane('a', handler('a'));
    const two = await plane('b', handler('b'));
    await two.start();
    const queued = await enqueue(one);
    const done = one.run(queued);
    for (let n = 0; n < 12; n += 1) {
      const until = async () =>
        (await world.db.kysely.selectFrom('operation').select('lease_until').executeTakeFirstOrThrow())
          .lease_until;
      const was = await until();
      await world.clock.advance(5_000);
      await eventually(async () => (await until())?.getTime() !== was?.getTime());
    }
    expect(runs).toEqual(['a']);
    hold.open();
    await done;
  });

  it('is at once for what this data directory left behind, and for nothing else', async () => {
    const never = { run: () => new Promise<null>(() => undefined) };
    const killed = await plane('a', never, true);
    const alive = await plane('b', never, true);
    const left = await enqueue(killed);
    const other = await enqueue(alive);
    killed.runInBackground(left);
    const restarted = await plane('a', { run: async (ctx) => ctx.attempt });
    expect(await restarted.recover()).toBe(1);
    await eventually(async () => (await restarted.get(left.id)).state === 'succeeded');
    expect((await restarted.get(left.id)).result).toBe(2);
    expect((await restarted.get(other.id)).state).toBe('running');
  });

  it('does not repeat finished steps', async () => {
    const ran: string[] = [];
    const steps = (upTo: number) => async (ctx: OperationContext) => {
      const results: unknown[] = [];
      for (const [index, name] of ['one', 'two', 'three'].entries()) {
        if (index >= upTo) await new Promise(() => undefined); // killed here
        results.push(
          await ctx.step(name, async () => {
            ran.push(name);
            return index === 1 ? undefined : { name };
          }),
        );
      }
      return results.length;
    };
    const killed = await plane('a', { run: steps(2) }, true);
    const queued = await enqueue(killed);
    killed.runInBackground(queued);
    await eventually(() => ran.length === 2);
    await eventually(async () => {
      const { rows } = await sql`select 1 from operation_step`.execute(world.db.kysely);
      return rows.length === 2;
    });
    const restarted = await plane('a', { run: steps(3) });
    await restarted.recover();
    await eventually(async () => (await restarted.get(queued.id)).state === 'succeeded');
    expect(ran).toEqual(['one', 'two', 'three']);
  });

  it('ends in failure after too many starts', async () => {
    const never = { run: () => new Promise<null>(() => undefined), maxAttempts: 3 };
    const first = await plane('a', never, true);
    const queued = await enqueue(first);
    for (let n = 0; n < 2; n += 1) expect(await (await plane('a', never, true)).recover()).toBe(1);
    const last = await plane('a', never);
    await last.recover();
    await eventually(async () => (await last.get(queued.id)).state === 'failed');
    expect((await last.get(queued.id)).error?.message).toContain('3 starts');
  });
});

describe('cancel', () => {
  it('aborts what runs, here and in other processes', async () => {
    const started = gate();
    const handler: Partial<OperationHandler> = {
      run: async (ctx) => {
        started.open();
        await new Promise((_, reject) =>
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
        );
        return null;
      },
    };
    const here = await plane('a', handler);
    const there = await plane('b', handler);
    await here.start();
    const queued = await enqueue(here);
    const ended = codeOf(here.run(queued));
    await started.passed;
    await there.cancel(queued.id);
    expect(await ended).toBe('conflict');
    expect(await there.get(queued.id)).toMatchObject({ state: 'cancelled', cancelRequested: true });
    expect(await codeOf(here.cancel(queued.id))).toBe('conflict');
    expect(await codeOf(here.cancel('op-none'))).toBe('not_found');
  });

  it('ends what is scheduled', async () => {
    const operations = await plane('a', {});
    const queued = await enqueue(operations, { runAt: new Date(world.clock.now().getTime() + 1) });
    await operations.cancel(queued.id);
    await operations.start();
    await world.clock.advance(5_000);
    expect((await operations.get(queued.id)).state).toBe('cancelled');
  });

  it('of a process that died takes effect at the takeover', async () => {
    const killed = await plane('a', { run: () => new Promise<null>(() => undefined) }, true);
    const queued = await enqueue(killed);
    killed.runInBackground(queued);
    await killed.cancel(queued.id);
    const restarted = await plane('a', {
      run: async (ctx) => {
        ctx.signal.throwIfAborted();
        return null;
      },
    });
    await restarted.recover();
    await eventually(async () => (await restarted.get(queued.id)).finishedAt !== null);
    expect((await restarted.get(queued.id)).state).toBe('cancelled');
  });
});

describe('shutdown', () => {
  it('lets what runs finish, gives the rest back for others at once, and takes no more', async () => {
    const started = gate();
    const leaving = await plane('a', {
      run: async (ctx) => {
        started.open();
        await new Promise((_, reject) =>
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
        );
        return null;
      },
    });
    const queued = await enqueue(leaving);
    const ended = codeOf(leaving.run(queued));
    await started.passed;
    const stopped = leaving.stop(5_000);
    await eventually(() => world.clock.sleepers > 0);
    await world.clock.advance(5_000);
    await stopped;
    expect(await ended).toBe('shutting_down');
    const late = await enqueue(leaving);
    expect(await codeOf(leaving.run(late))).toBe('shutting_down');
    const next = await plane('b', {});
    await next.start();
    for (const { id } of [queued, late]) {
      await whileTimePasses(async () => (await next.get(id)).state === 'succeeded');
    }
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
