/** Puts the area together: what runs here, its leases, and the loop for what was left behind. Used by `index.ts`. */
import { randomBytes } from 'node:crypto';
import { AviaryError } from '@aviary/kernel';
import { type Execution, execute, type Outcome } from './execute.ts';
import type { Json, OperationHandler, QueuedOperation } from './model.ts';
import type { Operations, OperationsDeps } from './operations.ts';
import { findOperation, listLines, listOperations } from './queries.ts';
import {
  CHANNEL,
  claimDue,
  claimOwn,
  giveBack,
  insertOperation,
  renewLeases,
  requestCancel,
  toQueued,
} from './store.ts';
import { createWaiters } from './waiters.ts';

/** Operations the loop runs at once; those that requests run are not counted. */
const LOOP_WIDTH = 4;
/** Milliseconds between looks for what was left behind. */
const LOOK_EVERY = 1_000;

export function createOperations(deps: OperationsDeps): Operations {
  const { db, clock, log, owner } = deps;
  const random = deps.random ?? randomBytes;
  const leaseMs = deps.leaseMs ?? 15_000;
  const handlers = new Map<string, OperationHandler>();
  const running = new Map<string, Execution>();
  const looped = new Set<string>();
  const waiters = createWaiters(db, clock);
  const stopping = new AbortController();
  const loops: Promise<void>[] = [];
  let renewing = false;
  let unlisten: () => Promise<void> = async () => undefined;

  const lease = () => {
    const now = clock.now();
    return { owner, now, until: new Date(now.getTime() + leaseMs) };
  };
  const down = () => new AviaryError('shutting_down', 'this process ends: try again');

  /** Renews while anything runs: at a third of the lease, so that two renewals may fail. */
  const renew = async () => {
    if (renewing) return;
    renewing = true;
    while (running.size > 0) {
      const nap = new AbortController();
      wakeRenewal = () => nap.abort();
      await clock.sleep(leaseMs / 3, nap.signal).catch(() => undefined);
      const held = [...running.values()].map(({ operation }) => operation);
      if (held.length === 0) break;
      try {
        const ours = await renewLeases(db.kysely, held, lease().until);
        for (const { id } of held) if (!ours.has(id)) running.get(id)?.stop('lease_lost');
      } catch (error) {
        log.warn({ err: error, operations: held.length }, 'leases are not renewed yet');
      }
    }
    renewing = false;
  };
  let wakeRenewal: () => void = () => undefined;

  const begin = (operation: QueuedOperation): Promise<Outcome> => {
    const handler = handlers.get(operation.kind);
    if (handler === undefined)
      throw new AviaryError('internal', `nobody handles operations of kind ${operation.kind}`);
    const execution = execute({ db, clock, log }, handler, operation);
    running.set(operation.id, execution);
    void renew();
    return execution.done.finally(() => {
      running.delete(operation.id);
      if (running.size === 0) wakeRenewal();
    });
  };
  const beginClaimed = async (row: Parameters<typeof toQueued>[0]) => {
    const done = begin(toQueued(row));
    if (row.cancel_requested) running.get(row.id)?.stop('cancelled');
    const outcome = await done;
    const fields = { operation: row.id, kind: row.kind, subject: row.subject };
    if ('error' in outcome) log.warn({ ...fields, err: outcome.error }, 'an operation failed');
  };

  const awaitEnd = async (id: string): Promise<Json> => {
    const ended = await waiters.wait(id, stopping.signal).catch((error: unknown) => {
      throw stopping.signal.aborted ? down() : error;
    });
    if (ended.error !== null) throw new AviaryError(ended.error.code, ended.error.message);
    return ended.result;
  };
  const run = async (operation: QueuedOperation): Promise<Json> => {
    if (!operation.leased) return awaitEnd(operation.id);
    if (stopping.signal.aborted) {
      await giveBack(db.kysely, operation, clock.now());
      throw down();
    }
    const outcome = await begin(operation);
    if ('result' in outcome) return outcome.result;
    if ('error' in outcome) throw outcome.error;
    if (outcome.why.code === 'database_unavailable' || outcome.why.code === 'shutting_down')
      throw outcome.why;
    return awaitEnd(operation.id);
  };

  const look = async () => {
    const room = LOOP_WIDTH - looped.size;
    if (room <= 0 || handlers.size === 0) return;
    for (const row of await claimDue(db.kysely, [...handlers.keys()], lease(), room)) {
      looped.add(row.id);
      void beginClaimed(row).finally(() => looped.delete(row.id));
    }
  };

  return {
    register: (handler) => {
      if (handlers.has(handler.kind))
        throw new AviaryError('internal', `operations of kind ${handler.kind} have a handler`);
      handlers.set(handler.kind, handler);
    },
    enqueue: (trx, operation) => insertOperation(trx, operation, lease(), random),
    run,
    runInBackground: (operation) => {
      run(operation).catch((error: unknown) =>
        log.warn(
          { err: error, operation: operation.id, kind: operation.kind },
          'an operation in the background failed',
        ),
      );
    },
    get: async (id, teamId) => {
      const found = await findOperation(db.kysely, id, teamId);
      if (found === undefined) throw new AviaryError('not_found', 'there is no such operation');
      return found;
    },
    list: (query) => listOperations(db.kysely, query),
    logs: (id, afterSeq = 0) => listLines(db.kysely, id, afterSeq),
    cancel: async (id) => {
      const before = await requestCancel(db.kysely, id, clock.now());
      if (before === undefined) throw new AviaryError('not_found', 'there is no such operation');
      if (before !== 'running' && before !== 'scheduled') {
        throw new AviaryError('conflict', `the operation is over already (${before})`);
      }
      running.get(id)?.stop('cancelled');
      waiters.wake(id);
    },
    recover: async () => {
      const rows = await claimOwn(db.kysely, [...handlers.keys()], lease(), [...running.keys()]);
      for (const row of rows) {
        looped.add(row.id);
        void beginClaimed(row).finally(() => looped.delete(row.id));
      }
      return rows.length;
    },
    start: async () => {
      unlisten = await db.listen(CHANNEL, (id) => {
        waiters.wake(id === '' ? null : id);
        const here = id === null ? undefined : running.get(id);
        if (here === undefined) return;
        findOperation(db.kysely, here.operation.id)
          .then((found) => (found?.cancelRequested === true ? here.stop('cancelled') : undefined))
          .catch((error: unknown) =>
            log.debug({ err: error, operation: id }, 'looked in vain for a cancellation'),
          );
      });
      loops.push(
        (async () => {
          while (!stopping.signal.aborted) {
            await look().catch((error: unknown) =>
              log.debug({ err: error }, 'left operations are looked for later'),
            );
            await clock.sleep(LOOK_EVERY, stopping.signal).catch(() => undefined);
          }
        })(),
      );
    },
    stop: async (graceMs = 5_000) => {
      stopping.abort();
      await unlisten();
      await Promise.all(loops);
      const patience = new AbortController();
      const all = () => Promise.all([...running.values()].map(({ done }) => done));
      await Promise.race([all(), clock.sleep(graceMs, patience.signal).catch(() => undefined)]);
      for (const execution of running.values()) execution.stop('shutting_down');
      await Promise.race([all(), clock.sleep(graceMs, patience.signal).catch(() => undefined)]);
      patience.abort();
    },
  };
}
