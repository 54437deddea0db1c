/**
 * The event stream: an outbox written with the state change, live fan-out in every replica, durable
 * subscribers with a cursor. All areas to the right record and subscribe through this file.
 */
import type { Database, Migration, Trx } from '@aviary/db';
import type { Clock, Logger, RandomBytes } from '@aviary/kernel';
import type { DomainEvent, EventFilter, NewEvent } from './model.ts';

export * from './model.ts';

export interface EventsDeps {
  db: Database;
  clock: Clock;
  log: Logger;
  /** Names this process in the leases of durable subscribers. */
  owner: string;
  random?: RandomBytes;
  /** Events older than this, and read by all durable subscribers, are deleted. Default 30 days. */
  retentionDays?: number;
}

export interface Events {
  /** Writes the event in the caller's transaction; it is delivered after the commit. */
  record(trx: Trx, event: NewEvent): Promise<void>;
  /**
   * Live: every event committed from now on anywhere in the installation, in this process, usually within
   * milliseconds. Order of `seq` per resource. A handler that throws is logged. The function ends it.
   */
  subscribe(name: string, filter: EventFilter, handler: (event: DomainEvent) => void): () => void;
  /**
   * Durable: at least once, in order, one process at a time across replicas; a handler that rejects is
   * retried (1 s doubling to 60 s) before anything after it. A new name starts at the present.
   */
  subscribeDurably(
    name: string,
    filter: EventFilter,
    handler: (event: DomainEvent) => Promise<void>,
  ): Promise<() => Promise<void>>;
  /** Recorded events, newest first, from before `beforeSeq`. */
  list(query: EventFilter & { beforeSeq?: number; limit?: number }): Promise<DomainEvent[]>;
  /** Starts delivery. */
  start(): Promise<void>;
  /** Ends delivery and waits for handlers that run. */
  stop(): Promise<void>;
}

export declare const migrations: readonly Migration[];
export declare function createEvents(deps: EventsDeps): Events;
