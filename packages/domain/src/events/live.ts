/** Live delivery: one reader per process hands every committed event to those who subscribed. Inside the area. */
import type { Database } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import { createGaps } from './gaps.ts';
import { type DomainEvent, type EventFilter, matches } from './model.ts';
import { CHANNEL, lastSeq, readOn } from './outbox.ts';
import { createPulse } from './pulse.ts';

/** Rows per read. */
const BATCH = 500;
/** Numbers before the last one that may still be under way when we start. */
const LOOK_BACK = 1_000;
/** Milliseconds between reads without a wake-up. */
const EVERY = 1_000;

interface Subscriber {
  name: string;
  filter: EventFilter;
  handler: (event: DomainEvent) => void;
}

export interface Live {
  subscribe(name: string, filter: EventFilter, handler: (event: DomainEvent) => void): () => void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function createLive(deps: { db: Database; clock: Clock; log: Logger }): Live {
  const { db, clock, log } = deps;
  const subscribers = new Set<Subscriber>();
  let end: (() => Promise<void>) | null = null;

  const deliver = (event: DomainEvent) => {
    for (const { name, filter, handler } of [...subscribers]) {
      if (!matches(filter, event)) continue;
      try {
        handler(event);
      } catch (error) {
        log.error({ err: error, subscriber: name, type: event.type }, 'a subscriber failed');
      }
    }
  };

  return {
    subscribe: (name, filter, handler) => {
      const subscriber = { name, filter, handler };
      subscribers.add(subscriber);
      return () => {
        subscribers.delete(subscriber);
      };
    },
    start: async () => {
      const gaps = createGaps(Math.max(0, (await lastSeq(db.kysely)) - LOOK_BACK));
      await readOn(db.kysely, gaps, 2 * LOOK_BACK); // the past is nobody's news
      const pulse = createPulse(clock, async () => {
        try {
          const { fresh } = await readOn(db.kysely, gaps, BATCH + LOOK_BACK);
          for (const event of fresh) deliver(event);
          return fresh.length >= BATCH ? 0 : EVERY;
        } catch (error) {
          log.debug({ err: error }, 'events are read again later');
          return EVERY;
        }
      });
      const unlisten = await db.listen(CHANNEL, () => pulse.kick());
      end = async () => {
        await unlisten();
        await pulse.stop();
      };
    },
    stop: async () => {
      await end?.();
      end = null;
    },
  };
}
