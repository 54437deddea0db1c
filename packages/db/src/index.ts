/**
 * PostgreSQL for the product: engines, pool, migrator, transactions. The domain and the composition root
 * import it; it knows nothing of either. Tests take `@aviary/db/testing`.
 */
export type { Database, EngineInfo, OpenDatabaseOptions } from './database.ts';
export { isUniqueViolation } from './errors.ts';
export { type Migration, migrate } from './migrate.ts';
export { openDatabase } from './open.ts';
export type { Executor, Schema, Trx } from './schema.ts';
export { transaction } from './transaction.ts';
