/** Writes and reads the outbox table; the only file that does. Inside the area. */
import type { Executor, Trx } from '@aviary/db';
import { type Clock, newId, type RandomBytes } from '@aviary/kernel';
import { sql } from 'kysely';
import type { Gaps } from './gaps.ts';
import type { DomainEvent, EventFilter, NewEvent } from './model.ts';
import type { EventTable } from './schema.ts';

/** Channel that is notified when events were committed. */
export const CHANNEL = 'aviary_event';

/**
 * The event's row and its wake-up, in one statement. `pg_current_xact_id()` comes before `nextval`, so that a
 * transaction that holds a number is always one that a snapshot knows of (see `gaps.ts`).
 */
export async function insertEvent(
  trx: Trx,
  event: NewEvent,
  clock: Clock,
  random: RandomBytes,
): Promise<void> {
  await sql`
    with known as materialized (select pg_current_xact_id()),
    written as (
      insert into event (seq, id, type, team_id, actor, resource_type, resource_id, data, at)
      select nextval('event_seq'), ${newId('event', random)}, ${event.type}, ${event.teamId},
        ${JSON.stringify(event.actor)}::jsonb, ${event.resource.type}, ${event.resource.id},
        ${JSON.stringify(event.data)}::jsonb, ${clock.now()}::timestamptz
      from known returning seq)
    select pg_notify(${CHANNEL}, '') from written`.execute(trx);
}

/**
 * Up to `limit` committed events after what `gaps` has settled, oldest first; `gaps` learns of them. `fresh`
 * are those it had not seen.
 */
export async function readOn(
  db: Executor,
  gaps: Gaps,
  limit: number,
): Promise<{ events: DomainEvent[]; fresh: DomainEvent[] }> {
  const { events, xmin } = await readAfter(db, gaps.settled, limit);
  const fresh = new Set(
    gaps.observe(
      events.map(({ seq }) => seq),
      xmin,
    ),
  );
  if (gaps.unbounded) {
    const drawn = await sql<{ id: string }>`select pg_current_xact_id()::text as id`.execute(db);
    gaps.bound(BigInt(drawn.rows[0]?.id ?? 0));
  }
  return { events, fresh: events.filter(({ seq }) => fresh.has(seq)) };
}

/** Events after `seq`, and below which id all transactions had ended when they were read. */
async function readAfter(
  db: Executor,
  seq: number,
  limit: number,
): Promise<{ events: DomainEvent[]; xmin: bigint }> {
  const { rows } = await sql<EventTable & { xmin_: string }>`
    select e.*, pg_snapshot_xmin(s)::text as xmin_
    from pg_current_snapshot() s
    left join lateral (select * from event where seq > ${seq} order by seq limit ${limit}) e on true
    order by e.seq`.execute(db);
  return {
    events: rows.filter(({ id }) => id !== null).map(toEvent),
    xmin: BigInt(rows[0]?.xmin_ ?? 0),
  };
}

/** The last committed position; 0 when there is none. */
export async function lastSeq(db: Executor): Promise<number> {
  const { rows } = await sql<{ seq: number }>`select coalesce(max(seq), 0)::bigint as seq from event`.execute(
    db,
  );
  return rows[0]?.seq ?? 0;
}

/** Newest first. */
export async function listEvents(
  db: Executor,
  query: EventFilter & { beforeSeq?: number; limit?: number },
): Promise<DomainEvent[]> {
  let select = db
    .selectFrom('event')
    .selectAll()
    .orderBy('seq', 'desc')
    .limit(query.limit ?? 100);
  if (query.types !== undefined) select = select.where('type', 'in', [...query.types]);
  if (query.teamId !== undefined) select = select.where('team_id', '=', query.teamId);
  if (query.resourceId !== undefined) select = select.where('resource_id', '=', query.resourceId);
  if (query.beforeSeq !== undefined) select = select.where('seq', '<', query.beforeSeq);
  return (await select.execute()).map(toEvent);
}

/** Deletes what is older than `before` and was read by all durable subscribers. */
export async function trimEvents(db: Executor, before: Date): Promise<void> {
  await sql`delete from event where at < ${before}
    and seq <= (select coalesce(min(cursor), 9223372036854775807) from event_subscriber)`.execute(db);
}

/** Types and data were checked by the compiler when the event was recorded. */
function toEvent(row: EventTable): DomainEvent {
  return {
    type: row.type,
    teamId: row.team_id,
    actor: row.actor,
    resource: { type: row.resource_type, id: row.resource_id },
    data: row.data,
    id: row.id,
    seq: row.seq,
    at: row.at,
  } as DomainEvent;
}
