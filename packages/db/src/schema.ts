/**
 * The one typed schema. Every area of the domain adds its tables by declaration merging:
 * `declare module '@aviary/db/schema' { interface Schema { team: TeamTable } }` in its `schema.ts`.
 * Imported by everybody who queries; imports nobody.
 */
import type { Kysely, Transaction } from 'kysely';

/** Table name -> row type, merged from all areas. */
// biome-ignore lint/suspicious/noEmptyInterface: the areas fill it by declaration merging
export interface Schema {}

/** Anything that runs queries: the database itself or a transaction. */
export type Executor = Kysely<Schema>;

/** An open transaction. What must commit together takes one of these. */
export type Trx = Transaction<Schema>;
