/** Transactions that repeat themselves when PostgreSQL asks for it. Everybody who writes uses this. */
import { isRepeatable } from './errors.ts';
import type { Executor, Trx } from './schema.ts';

/** Attempts after the first one. */
const REPEATS = 3;

/**
 * Runs `fn` in a transaction and repeats it up to 3 times after serialization failures and deadlocks, so
 * `fn` must have no effect outside the database.
 */
export async function transaction<T>(db: Executor, fn: (trx: Trx) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await db.transaction().execute(fn);
    } catch (error) {
      if (attempt >= REPEATS || !isRepeatable(error)) throw error;
    }
  }
}
