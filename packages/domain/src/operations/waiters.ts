/** Callers that wait for the end of an operation which runs elsewhere. Inside the area. */
import type { Database } from '@aviary/db';
import type { Clock } from '@aviary/kernel';
import type { Operation } from './model.ts';
import { findOperation } from './queries.ts';

/** Milliseconds between looks without a wake-up. */
const EVERY = 1_000;

export interface Waiters {
  /** Resolves with the operation when it is over. Rejects when `signal` aborts, or it is gone. */
  wait(id: string, signal: AbortSignal): Promise<Operation>;
  /** Something happened to `id` (or to anything, with null). */
  wake(id: string | null): void;
}

export function createWaiters(db: Database, clock: Clock): Waiters {
  const waking = new Map<string, Set<() => void>>();
  return {
    wait: async (id, signal) => {
      for (;;) {
        signal.throwIfAborted();
        const nap = new AbortController();
        const wake = () => nap.abort();
        const set = waking.get(id) ?? new Set();
        waking.set(id, set.add(wake));
        signal.addEventListener('abort', wake, { once: true });
        try {
          const operation = await findOperation(db.kysely, id);
          if (operation === undefined) throw new Error(`operation ${id} is gone`);
          if (operation.finishedAt !== null) return operation;
          await clock.sleep(EVERY, nap.signal).catch(() => undefined);
        } finally {
          signal.removeEventListener('abort', wake);
          set.delete(wake);
          if (set.size === 0) waking.delete(id);
        }
      }
    },
    wake: (id) => {
      const sets = id === null ? [...waking.values()] : [waking.get(id) ?? new Set<() => void>()];
      for (const set of sets) for (const wake of [...set]) wake();
    },
  };
}
