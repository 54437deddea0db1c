/** Runs one leased operation through its handler and commits how it ended. Inside the area. */
import { type Database, transaction } from '@aviary/db';
import { AviaryError, type Clock, isAviaryError, type Logger, toAviaryError } from '@aviary/kernel';
import type { Json, OperationContext, OperationHandler, QueuedOperation } from './model.ts';
import { createNotes } from './notes.ts';
import { type Ending, endOperation, giveBack, insertStep, readSteps } from './store.ts';

const MAX_ATTEMPTS = 5;

/** Why a running operation is made to stop. */
export type Stop = 'cancelled' | 'lease_lost' | 'shutting_down';

export interface Execution {
  readonly operation: QueuedOperation;
  readonly done: Promise<Outcome>;
  stop(why: Stop): void;
}

/** How a run went: over, or not in our hands any more (`later`). */
export type Outcome =
  | { over: true; result: Json }
  | { over: true; error: AviaryError }
  | { over: false; why: AviaryError };

const STOPPED: Readonly<Record<Stop, () => AviaryError>> = {
  cancelled: () => new AviaryError('conflict', 'the operation was cancelled'),
  lease_lost: () => new AviaryError('conflict', 'another process has taken this operation over'),
  shutting_down: () =>
    new AviaryError('shutting_down', 'this process ends; the operation goes on elsewhere or after it'),
};

/** Starts `operation`. Its `done` never rejects. */
export function execute(
  deps: { db: Database; clock: Clock; log: Logger },
  handler: OperationHandler,
  operation: QueuedOperation,
): Execution {
  const { db, clock, log } = deps;
  const controller = new AbortController();
  let stopped: Stop | null = null;
  const notes = createNotes(deps, operation);

  const end = async (work: (trx: Parameters<typeof endOperation>[0]) => Promise<Ending>) => {
    await notes.close();
    return transaction(db.kysely, async (trx) => {
      const ending = await work(trx);
      if (await endOperation(trx, operation, ending, clock.now())) return ending;
      stopped = 'lease_lost';
      throw STOPPED.lease_lost();
    });
  };

  /** Runs the handler; answers what it left as result. */
  const work = async (): Promise<Json> => {
    let finished: { result: Json } | null = null;
    const steps =
      operation.attempt > 1 ? await readSteps(db.kysely, operation.id) : new Map<string, Json | undefined>();
    const ctx: OperationContext = {
      id: operation.id,
      subject: operation.subject,
      teamId: operation.teamId,
      attempt: operation.attempt,
      fence: operation.fence,
      signal: controller.signal,
      step: async <T extends Json | undefined>(name: string, fn: () => Promise<T>): Promise<T> => {
        // what a step answered under this name before is what it answers now
        if (steps.has(name)) return steps.get(name) as T;
        controller.signal.throwIfAborted();
        const result = await fn();
        if (!(await insertStep(db.kysely, operation, name, result, clock.now()))) {
          stopped = 'lease_lost';
          throw STOPPED.lease_lost();
        }
        steps.set(name, result);
        return result;
      },
      progress: notes.progress,
      log: notes.log,
      finish: async (fn) => {
        if (finished !== null)
          throw new AviaryError('internal', `operation ${operation.id} was finished twice`);
        const ending = await end(async (trx) => ({ state: 'succeeded', result: (await fn(trx)) ?? null }));
        finished = { result: ending.state === 'succeeded' ? ending.result : null };
      },
    };
    const returned = await handler.run(ctx, operation.input);
    if (finished === null) await ctx.finish(async () => returned);
    // set by finish, which the compiler cannot see
    return (finished as { result: Json } | null)?.result ?? null;
  };

  /** Commits that it failed or was cancelled, with what that means for the domain. */
  const fail = async (error: AviaryError): Promise<Outcome> => {
    const { id, subject, teamId, input } = operation;
    const cause = { code: error.code, message: error.message };
    await end(async (trx) => {
      await handler.failed?.(trx, { id, subject, teamId, input }, cause);
      return { state: stopped === 'cancelled' ? 'cancelled' : 'failed', error: cause };
    });
    return { over: true, error };
  };

  const settle = async (thrown: unknown): Promise<Outcome> => {
    const error = toAviaryError(thrown);
    if (error.code === 'internal')
      log.error({ err: thrown, operation: operation.id, kind: operation.kind }, 'an operation failed');
    if (stopped === 'lease_lost') return { over: false, why: error };
    const at = clock.now();
    if (stopped === 'shutting_down') {
      await giveBack(db.kysely, operation, at);
      return { over: false, why: error };
    }
    // whether the work was done is unknown while the database is away: the next attempt finds out
    if (isAviaryError(error, 'database_unavailable')) return { over: false, why: error };
    const again = stopped === null ? (handler.retry?.(thrown, operation.attempt) ?? null) : null;
    if (again !== null && operation.attempt < (handler.maxAttempts ?? MAX_ATTEMPTS)) {
      await giveBack(db.kysely, operation, new Date(at.getTime() + again));
      return { over: false, why: error };
    }
    return fail(error);
  };

  const done = (async (): Promise<Outcome> => {
    try {
      if (operation.attempt > (handler.maxAttempts ?? MAX_ATTEMPTS)) {
        return await fail(
          new AviaryError('internal', `given up after ${operation.attempt - 1} starts that did not end`),
        );
      }
      return { over: true, result: await work() };
    } catch (thrown) {
      return await settle(thrown).catch((error: unknown): Outcome => {
        log.warn(
          { err: error, operation: operation.id },
          'how an operation ended is not written yet; its lease runs out',
        );
        return { over: false, why: toAviaryError(error) };
      });
    } finally {
      await notes.close();
    }
  })();

  return {
    operation,
    done,
    stop: (why) => {
      if (stopped !== null) return;
      stopped = why;
      controller.abort(STOPPED[why]());
    },
  };
}
