/** Control planes on one database, for tests of operations: some live, some dead, all with a clock moved by hand. */
import { transaction } from '@aviary/db';
import { silentLogger } from '@aviary/kernel';
import { createWorld, eventually, type World } from '../identity/testing.ts';
import {
  createOperations,
  type NewOperation,
  type OperationContext,
  type OperationHandler,
  type Operations,
  type QueuedOperation,
} from './index.ts';

export interface Planes {
  world: World;
  /** A control plane's operations. `dead`: it never renews, as a process that hangs or was killed. */
  plane(owner: string, handler: Partial<OperationHandler>, dead?: boolean): Promise<Operations>;
  enqueue(operations: Operations, more?: Partial<NewOperation>): Promise<QueuedOperation>;
  /** Moves time on in small steps until `check` holds: what wakes up asks PostgreSQL before it sleeps again. */
  whileTimePasses(check: () => Promise<boolean>): Promise<void>;
  /** Actions in the audit log, oldest first. */
  audits(): Promise<string[]>;
  /** Finishes with an audit row of that action. */
  note(ctx: OperationContext, action: string): Promise<void>;
  close(): Promise<void>;
}

/** A fresh database and no control plane yet. */
export async function createPlanes(): Promise<Planes> {
  const world = await createWorld();
  const made: Operations[] = [];
  return {
    world,
    plane: async (owner, handler, dead = false) => {
      const clock = dead ? { ...world.clock, sleep: () => new Promise<void>(() => undefined) } : world.clock;
      const operations = createOperations({ db: await world.db.replica(), clock, log: silentLogger, owner });
      operations.register({ kind: 'work', run: async () => null, ...handler });
      if (!dead) made.push(operations);
      return operations;
    },
    enqueue: (operations, more = {}) =>
      transaction(world.db.kysely, (trx) =>
        operations.enqueue(trx, {
          kind: 'work',
          subject: 'cl-1',
          teamId: 'team-1',
          input: { n: 1 },
          ...more,
        }),
      ),
    whileTimePasses: (check) =>
      eventually(async () => {
        await world.clock.advance(500);
        return check();
      }),
    audits: async () =>
      (await world.audit.query({ limit: 500 })).records.map(({ action }) => action).reverse(),
    note: (ctx, action) =>
      ctx.finish(async (trx) => {
        const actor = { kind: 'system', part: 'x' } as const;
        await world.audit.record(trx, { action, outcome: 'done', actor, teamId: null, resource: null });
        return { did: action };
      }),
    close: async () => {
      await Promise.all(made.map((operations) => operations.stop(0)));
      await world.close();
    },
  };
}

/** A gate that a handler waits at. */
export function gate() {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}
