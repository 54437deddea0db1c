/** The audit log: append-only in the database itself and hash-chained. Written by commands through the journal. */
import type { Database, Migration, Trx } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import type { AuditEntry } from '../identity/index.ts';
import type { AuditQuery, AuditRecord, AuditVerdict } from './model.ts';

export * from './model.ts';

export interface AuditDeps {
  db: Database;
  clock: Clock;
  log: Logger;
  /** Refusals stored per actor (or address) and minute; the rest is counted. Default 60. */
  refusalsPerMinute?: number;
}

export interface Audit {
  /** In the caller's transaction. */
  record(trx: Trx, entry: AuditEntry): Promise<void>;
  /** Outside any transaction, bounded, never rejects. */
  refused(entry: AuditEntry): Promise<void>;
  /** Newest first; `cursor` is null on the last page. Who may see what, the caller's policy decides. */
  query(query: AuditQuery): Promise<{ records: AuditRecord[]; cursor: string | null }>;
  /** Walks the whole chain. */
  verify(): Promise<AuditVerdict>;
  /** Starts chaining new rows in the background. */
  start(): Promise<void>;
  /** Chains what is there and stops. */
  stop(): Promise<void>;
}

export declare const migrations: readonly Migration[];
export declare function createAudit(deps: AuditDeps): Audit;
