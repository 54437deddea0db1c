/**
 * Operations: anything that takes longer than a request or must survive a crash. Types and states; pure.
 *
 *   scheduled --(its time came)--> running --> succeeded
 *       |                            |  ^ \--> failed
 *       |                   (lease ran out: another process, fence + 1)
 *       \--> cancelled <-------------/
 */
import type { Trx } from '@aviary/db';
import type { ErrorCode } from '@aviary/kernel';

export type OperationState = 'scheduled' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/** Values that survive a trip through JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What a command asks for. */
export interface NewOperation {
  /** A registered kind, e.g. `capsule.create`. */
  kind: string;
  /** Id of what it works on. */
  subject: string;
  teamId: string | null;
  input: Json;
  /** The same key, kind and team again answers the first operation instead of a new one. */
  idempotencyKey?: string;
  /** Not before this time; then the worker loop of any replica runs it. Default: at once, by `run`. */
  runAt?: Date;
}

/** An operation written by this process and leased to it; hand it to `run` after the commit. */
export interface QueuedOperation {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly teamId: string | null;
  readonly input: Json;
  readonly fence: number;
  readonly attempt: number;
  /** False when it was there already (idempotency key) or is scheduled: `run` then waits for its end. */
  readonly leased: boolean;
}

/** An operation as surfaces show it. */
export interface Operation {
  id: string;
  kind: string;
  subject: string;
  teamId: string | null;
  state: OperationState;
  input: Json;
  result: Json;
  error: { code: ErrorCode; message: string } | null;
  progress: { text: string; percent: number | null } | null;
  attempt: number;
  cancelRequested: boolean;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  runAt: Date | null;
}

export interface OperationLogLine {
  seq: number;
  at: Date;
  text: string;
}

/** What a handler gets. */
export interface OperationContext {
  readonly id: string;
  readonly subject: string;
  readonly teamId: string | null;
  /** 1 for the first; more after a takeover or a retry. */
  readonly attempt: number;
  /** Grows with each takeover; hand it to hosts so that they refuse a predecessor. */
  readonly fence: number;
  /** Aborts with the AviaryError why: cancelled (`conflict`), lease lost (`conflict`), `shutting_down`. */
  readonly signal: AbortSignal;
  /** Runs `fn` once per operation, whatever crashes: a finished step answers its stored result. */
  step<T extends Json | undefined>(name: string, fn: () => Promise<T>): Promise<T>;
  /** Shown to users; written at most twice a second. `percent` 0-100 or null when unknown. */
  progress(text: string, percent: number | null): void;
  /** One line of its log; written in batches. */
  log(text: string): void;
  /**
   * Commits the domain's change, its event and the operation's success in one transaction, which fails with
   * `conflict` (and changes nothing) when the lease was lost. At most once, last. Without it the value the
   * handler returns is stored as result.
   */
  finish(fn: (trx: Trx) => Promise<Json | undefined>): Promise<void>;
}

/** How one kind of operation is done. */
export interface OperationHandler {
  kind: string;
  /** Does the work; must be safe to start again from its beginning after a crash. */
  run(ctx: OperationContext, input: Json): Promise<Json | undefined>;
  /** Commits what failure means for the domain, together with the operation's end. */
  failed?(
    trx: Trx,
    operation: { id: string; subject: string; teamId: string | null; input: Json },
    error: { code: ErrorCode; message: string },
  ): Promise<void>;
  /** Starts after failures and crashes together before it is failed for good. Default 5; a thrown error is
   *  final unless `retry` says otherwise. */
  maxAttempts?: number;
  /** Milliseconds until the next attempt after this error, or null for none (default). */
  retry?(error: unknown, attempt: number): number | null;
}
