/**
 * Durable operations: enqueued in the caller's transaction, run at once in the same process, taken over by
 * another one when it dies. The areas to the right register handlers and enqueue through this file.
 */
import type {} from './schema.ts';

export { createOperations } from './create.ts';
export { migrations } from './migrations.ts';
export * from './model.ts';
export type { Operations, OperationsDeps } from './operations.ts';
