/** What an opened database is to the rest of the house. Types only; `open.ts` makes one. */
import type { Clock, Logger } from '@aviary/kernel';
import type { Executor } from './schema.ts';

/** How to reach PostgreSQL. */
export interface OpenDatabaseOptions {
  /** `postgres://…` of an external server. Absent: a private one is supervised under `dataDir`. */
  url?: string | undefined;
  /** State directory of the product; the supervised cluster lives in `<dataDir>/postgres`. */
  dataDir: string;
  log: Logger;
  clock: Clock;
  /** Connections kept for queries (one more is used for LISTEN). Default 16. */
  poolSize?: number;
}

/** Where the data is and who runs it, for status pages. */
export interface EngineInfo {
  kind: 'external' | 'supervised';
  /** Server version, e.g. `18.4`. */
  version: string;
}

/** An open database. While PostgreSQL is away every query fails with `database_unavailable` within 3 s. */
export interface Database {
  readonly kysely: Executor;
  readonly engine: EngineInfo;
  /**
   * Runs `handler` for each NOTIFY on `channel` (letters, digits and `_`). Survives reconnects; what was
   * notified meanwhile is lost, so after each (re)connect the handler runs once with payload null: read then
   * what the table says. Resolves when the first LISTEN is in place. The returned function stops it.
   */
  listen(channel: string, handler: (payload: string | null) => void): Promise<() => Promise<void>>;
  /** `down` from the first failed ping (each 1 s) or lost connection until a query works again. */
  health(): 'up' | 'down';
  /** Ends all connections; stops a supervised server (fast mode) and waits for it. Idempotent. */
  close(): Promise<void>;
}
