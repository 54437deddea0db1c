/** What the area offers. Types only; `create.ts` makes it, `index.ts` exports it. */
import type { Database, Trx } from '@aviary/db';
import type { Clock, Logger, RandomBytes } from '@aviary/kernel';
import type {
  Json,
  NewOperation,
  Operation,
  OperationHandler,
  OperationLogLine,
  OperationState,
  QueuedOperation,
} from './model.ts';

export interface OperationsDeps {
  db: Database;
  clock: Clock;
  log: Logger;
  /** Names this instance in leases; stable per data directory, so that `recover` knows its predecessor's. */
  owner: string;
  random?: RandomBytes;
  /** Default 15,000. */
  leaseMs?: number;
}

export interface Operations {
  /** Before `recover` and `start`. Throws `internal` for a kind that is registered already. */
  register(handler: OperationHandler): void;
  /** Inserts it, leased to this process, in the caller's transaction. */
  enqueue(trx: Trx, operation: NewOperation): Promise<QueuedOperation>;
  /**
   * Runs it now in this process (or waits for its end when it is not leased to us) and answers its result.
   * Rejects with the AviaryError it failed with, `conflict` when it was cancelled.
   */
  run(operation: QueuedOperation): Promise<Json>;
  /** The same without waiting: failures are in the row and the log. */
  runInBackground(operation: QueuedOperation): void;
  /** Of that team when one is given. Error: not_found. */
  get(id: string, teamId?: string): Promise<Operation>;
  /** Newest first. */
  list(query: {
    teamId?: string;
    subject?: string;
    kind?: string;
    states?: readonly OperationState[];
    before?: string;
    limit?: number;
  }): Promise<Operation[]>;
  /** Lines after `afterSeq`, oldest first, at most 1,000. */
  logs(id: string, afterSeq?: number): Promise<OperationLogLine[]>;
  /** Asks for its end; resolves at once. Scheduled ones are cancelled by this. Finished ones: `conflict`. */
  cancel(id: string): Promise<void>;
  /** Takes over at once what this owner's dead predecessor left running; call when the data directory's lock
   *  is ours, before `start`. Returns how many. */
  recover(): Promise<number>;
  /** Starts the loop for left-behind and scheduled operations. */
  start(): Promise<void>;
  /** Takes no more, aborts what runs with `shutting_down` after `graceMs` (default 5,000); leases are given up. */
  stop(graceMs?: number): Promise<void>;
}
