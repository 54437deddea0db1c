/** The audit log: append-only in the database itself and hash-chained. Written by commands through the journal. */
import type { Database, Trx } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import type { AuditEntry } from '../identity/index.ts';
import { chainPending } from './chainer.ts';
import type { AuditQuery, AuditRecord, AuditVerdict } from './model.ts';
import { createRefusals } from './refusals.ts';
import type {} from './schema.ts';
import { insertEntry, queryLog } from './store.ts';
import { verifyChain } from './verify.ts';

export { migrations } from './migrations.ts';
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
  /** Chains what is pending now; done each second after `start` anyway. Answers how many. */
  chain(): Promise<number>;
  /** Starts chaining new rows in the background. */
  start(): Promise<void>;
  /** Chains what is there and stops. */
  stop(): Promise<void>;
}

/** Milliseconds a row waits for its link at most. */
const EVERY = 1_000;

export function createAudit(deps: AuditDeps): Audit {
  const { db, clock, log } = deps;
  const stopping = new AbortController();
  const chain = () => chainPending(db);
  const tried = () =>
    chain().catch((error: unknown) => log.debug({ err: error }, 'audit rows are chained later'));
  let loop: Promise<void> = Promise.resolve();
  return {
    record: (trx, entry) => insertEntry(trx, entry, clock.now()),
    refused: createRefusals({ db, clock, log, perMinute: deps.refusalsPerMinute ?? 60 }),
    query: (query) => queryLog(db.kysely, query),
    verify: () => verifyChain(db),
    chain,
    start: async () => {
      loop = (async () => {
        while (!stopping.signal.aborted) {
          await tried();
          await clock.sleep(EVERY, stopping.signal).catch(() => undefined);
        }
        await tried();
      })();
    },
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}
