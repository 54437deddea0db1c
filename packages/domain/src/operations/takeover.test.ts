/** Operations whose process dies, is cancelled or ends: leases, fences and who goes on. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, eventually, type World } from '../identity/testing.ts';
import type { OperationContext, OperationHandler } from './index.ts';
import { createPlanes, gate, type Planes } from './testing.ts';

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
