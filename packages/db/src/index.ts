/**
 * PostgreSQL for the product: engines, pool, migrator, transactions. The domain and the composition root
 * import it; it knows nothing of either. Tests take `@aviary/db/testing`.
 */
import type { Database, OpenDatabaseOptions } from './database.ts';
import type { Executor, Trx } from './schema.ts';

export type { Database, EngineInfo, OpenDatabaseOptions } from './database.ts';
export type { Executor, Schema, Trx } from './schema.ts';

/** One forward-only step. `name` starts with its global number: `0010_identity`. Runs in a transaction of its own. */
export interface Migration {
  name: string;
  up(trx: Trx): Promise<void>;
}

/** Opens (and if need be installs and starts) PostgreSQL. Errors: missing_dependency, database_unavailable. */
export declare function openDatabase(options: OpenDatabaseOptions): Promise<Database>;

/** Runs what is missing, in order of name, under a lock. Returns the names that ran now. */
export declare function migrate(db: Executor, migrations: readonly Migration[]): Promise<string[]>;

/** Runs `fn` in a transaction and repeats it (3 times) after serialization failures and deadlocks. */
export declare function transaction<T>(db: Executor, fn: (trx: Trx) => Promise<T>): Promise<T>;

/** True when `error` is a unique violation (SQLSTATE 23505), of that constraint or index when one is named. */
export declare function isUniqueViolation(error: unknown, constraint?: string): boolean;
