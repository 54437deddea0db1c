/**
 * The event stream: an outbox written with the state change, live fan-out in every replica, durable
 * subscribers with a cursor. All areas to the right record and subscribe through this file.
 */
import { randomBytes } from 'node:crypto';
import type { Database, Trx } from '@aviary/db';
import type { Clock, Logger, RandomBytes } from '@aviary/kernel';
import { subscribeDurably } from './durable.ts';
import { createLive } from './live.ts';
import type { DomainEvent, EventFilter, NewEvent } from './model.ts';
import { insertEvent, listEvents, trimEvents } from './outbox.ts';
import { createPulse } from './pulse.ts';
import type {} from './schema.ts';

export { migrations } from './migrations.ts';
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
   * retried (1 s doubling to 60 s) before anything after it. A new name starts at the present. The function
   * ends it. A handler should take less than 30 s, or another replica may start it too.
   */
  subscribeDurably(
    name: string,
    filter: EventFilter,
    handler: (event: DomainEvent) => Promise<void>,
  ): Promise<() => Promise<void>>;
  /** Recorded events, newest first, from before `beforeSeq`; 100 unless `limit` says otherwise. */
  list(query: EventFilter & { beforeSeq?: number; limit?: number }): Promise<DomainEvent[]>;
  /** Starts live delivery and trimming. */
  start(): Promise<void>;
  /** Ends all delivery and waits for handlers that run. */
  stop(): Promise<void>;
}

const HOUR = 3_600_000;

export function createEvents(deps: EventsDeps): Events {
  const { db, clock, log } = deps;
  const random = deps.random ?? randomBytes;
  const keepMs = (deps.retentionDays ?? 30) * 24 * HOUR;
  const live = createLive({ db, clock, log });
  const ends = new Set<() => Promise<void>>();

  return {
    record: (trx, event) => insertEvent(trx, event, clock, random),
    subscribe: live.subscribe,
    subscribeDurably: async (name, filter, handler) => {
      const end = await subscribeDurably(deps, name, filter, handler);
      ends.add(end);
      return () => {
        ends.delete(end);
        return end();
      };
    },
    list: (query) => listEvents(db.kysely, query),
    start: async () => {
      await live.start();
      const trimmer = createPulse(clock, async () => {
        await trimEvents(db.kysely, new Date(clock.now().getTime() - keepMs)).catch((error: unknown) =>
          log.warn({ err: error }, 'old events are trimmed later'),
        );
        return HOUR;
      });
      ends.add(trimmer.stop);
    },
    stop: async () => {
      await live.stop();
      await Promise.all([...ends].map((end) => end()));
      ends.clear();
    },
  };
}
