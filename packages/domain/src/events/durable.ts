/**
 * Durable subscribers: a cursor in the database, one process at a time by lease, strictly in order, at least
 * once. A handler that fails holds back what comes after it, and only its own subscriber. Inside the area.
 */
import type { Database } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import { sql } from 'kysely';
import { createGaps } from './gaps.ts';
import { type DomainEvent, type EventFilter, matches } from './model.ts';
import { CHANNEL, readOn } from './outbox.ts';
import { createPulse } from './pulse.ts';

/** Events per read; as many may be handled twice after a crash. */
const BATCH = 20;
/** Milliseconds. */
const LEASE = 30_000;
const EVERY = 1_000;
/** Another look when an uncommitted or rolled back number holds us up. */
const SOON = 50;
const RETRY_FIRST = 1_000;
const RETRY_MAX = 60_000;

export interface DurableDeps {
  db: Database;
  clock: Clock;
  log: Logger;
  owner: string;
}

/** Registers `name` (at the present, when it is new) and delivers to `handler` until the function is called. */
export async function subscribeDurably(
  deps: DurableDeps,
  name: string,
  filter: EventFilter,
  handler: (event: DomainEvent) => Promise<void>,
): Promise<() => Promise<void>> {
  const { db, clock, log, owner } = deps;
  await sql`insert into event_subscriber (name, cursor)
    select ${name}, coalesce(max(seq), 0) from event on conflict (name) do nothing`.execute(db.kysely);
  let gaps = createGaps(-1);
  let retry = 0;

  /** The cursor when we hold (or just got) the lease; null when another process has it. */
  const lease = async (): Promise<number | null> => {
    const now = clock.now();
    const { rows } = await sql<{ cursor: number }>`update event_subscriber
      set lease_owner = ${owner}, lease_until = ${new Date(now.getTime() + LEASE)}
      where name = ${name} and (lease_owner = ${owner} or lease_until is null or lease_until < ${now})
      returning cursor`.execute(db.kysely);
    return rows[0]?.cursor ?? null;
  };
  const advance = (cursor: number) =>
    sql`update event_subscriber set cursor = ${cursor}
      where name = ${name} and lease_owner = ${owner} and cursor < ${cursor}`.execute(db.kysely);

  const turn = async (): Promise<number> => {
    const cursor = await lease();
    if (cursor === null) return EVERY;
    if (gaps.settled !== cursor) gaps = createGaps(cursor);
    const { events } = await readOn(db.kysely, gaps, BATCH);
    let done = cursor;
    try {
      for (const event of events) {
        if (event.seq > gaps.settled) break;
        if (matches(filter, event)) await handler(event);
        done = event.seq;
      }
      done = gaps.settled;
      retry = 0;
    } catch (error) {
      retry = Math.min(RETRY_MAX, Math.max(RETRY_FIRST, retry * 2));
      log.warn(
        { err: error, subscriber: name, afterMs: retry },
        'a durable subscriber failed and will be tried again',
      );
    }
    if (done > cursor) await advance(done);
    if (retry > 0) return retry;
    if ((events.at(-1)?.seq ?? done) > done) return SOON;
    return events.length === BATCH ? 0 : EVERY;
  };
  const pulse = createPulse(clock, () =>
    turn().catch((error: unknown) => {
      log.debug({ err: error, subscriber: name }, 'events are read again later');
      return EVERY;
    }),
  );
  // a wake-up must not cut short the pause after a failure
  const unlisten = await db.listen(CHANNEL, () => (retry === 0 ? pulse.kick() : undefined));
  return async () => {
    await unlisten();
    await pulse.stop();
    await sql`update event_subscriber set lease_until = null where name = ${name} and lease_owner = ${owner}`
      .execute(db.kysely)
      .catch((error: unknown) => log.debug({ err: error, subscriber: name }, 'the lease runs out by itself'));
  };
}
