/** The only writes to the area's tables. Every write of a running operation is refused by fence. Inside the area. */
import type { Executor, Trx } from '@aviary/db';
import { type ErrorCode, newId, type RandomBytes } from '@aviary/kernel';
import { sql } from 'kysely';
import type { Json, NewOperation, QueuedOperation } from './model.ts';
import type { OperationTable } from './schema.ts';

/** Notified with the id when an operation ended or its end was asked for. */
export const CHANNEL = 'aviary_operation';

/** Who holds a lease and until when. */
export interface Lease {
  owner: string;
  now: Date;
  until: Date;
}

/** Writes the operation, leased to us unless it is scheduled; answers the earlier one of the same idempotency key. */
export async function insertOperation(
  trx: Trx,
  operation: NewOperation,
  lease: Lease,
  random: RandomBytes,
): Promise<QueuedOperation> {
  const { kind, subject, teamId, input, idempotencyKey = null, runAt } = operation;
  const leased = runAt === undefined;
  const id = newId('operation', random);
  const count = leased ? 1 : 0;
  const { rows } = await sql<{ id: string }>`
    insert into operation (id, kind, subject, team_id, state, input, attempt, fence, lease_owner, lease_until,
      run_at, idempotency_key, created_at, started_at)
    values (${id}, ${kind}, ${subject}, ${teamId}, ${leased ? 'running' : 'scheduled'}, ${JSON.stringify(input)}::jsonb,
      ${count}, ${count}, ${leased ? lease.owner : null}, ${leased ? lease.until : null}, ${runAt ?? null},
      ${idempotencyKey}, ${lease.now}, ${leased ? lease.now : null})
    on conflict do nothing returning id`.execute(trx);
  if (rows.length > 0) return { id, kind, subject, teamId, input, fence: count, attempt: count, leased };
  const earlier = await sql<OperationTable>`select * from operation where kind = ${kind}
    and coalesce(team_id, '') = ${teamId ?? ''} and idempotency_key = ${idempotencyKey}`.execute(trx);
  const found = earlier.rows[0];
  if (found === undefined) throw new Error(`operation ${id} was neither written nor found`);
  return { ...toQueued(found), leased: false };
}

/** Takes over up to `limit` operations of these kinds whose time has come or whose lease ran out. */
export async function claimDue(
  db: Executor,
  kinds: readonly string[],
  lease: Lease,
  limit: number,
): Promise<OperationTable[]> {
  return claim(
    db,
    lease,
    sql`select id from operation where state in ('scheduled', 'running') and kind = any(${kinds}::text[])
      and (state = 'scheduled' and run_at <= ${lease.now} or state = 'running' and lease_until < ${lease.now})
      order by coalesce(run_at, lease_until) limit ${limit} for update skip locked`,
  );
}

/** Takes over what this owner left running, but for `except`. */
export async function claimOwn(
  db: Executor,
  kinds: readonly string[],
  lease: Lease,
  except: readonly string[],
): Promise<OperationTable[]> {
  return claim(
    db,
    lease,
    sql`select id from operation where state = 'running' and lease_owner = ${lease.owner}
      and kind = any(${kinds}::text[]) and id <> all(${except}::text[])
      order by created_at for update skip locked`,
  );
}

async function claim(db: Executor, lease: Lease, ids: ReturnType<typeof sql>): Promise<OperationTable[]> {
  const { rows } = await sql<OperationTable>`update operation set state = 'running', fence = fence + 1,
      attempt = attempt + 1, lease_owner = ${lease.owner}, lease_until = ${lease.until},
      started_at = coalesce(started_at, ${lease.now})
    where id in (${ids}) returning *`.execute(db);
  return rows;
}

/** Renews the leases of what runs; answers the ids that are still ours. */
export async function renewLeases(
  db: Executor,
  running: readonly { id: string; fence: number }[],
  until: Date,
): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`update operation o set lease_until = ${until}
    from unnest(${running.map(({ id }) => id)}::text[], ${running.map(({ fence }) => fence)}::integer[]) r (id, fence)
    where o.id = r.id and o.fence = r.fence and o.state = 'running' returning o.id`.execute(db);
  return new Set(rows.map(({ id }) => id));
}

/** How an operation ended. */
export type Ending =
  | { state: 'succeeded'; result: Json }
  | { state: 'failed' | 'cancelled'; error: { code: ErrorCode; message: string } };

/** Ends it and wakes who waits. False when the lease was lost: then nothing was written. */
export async function endOperation(
  trx: Trx,
  { id, fence }: { id: string; fence: number },
  ending: Ending,
  now: Date,
): Promise<boolean> {
  const result = ending.state === 'succeeded' ? JSON.stringify(ending.result) : null;
  const error = ending.state === 'succeeded' ? null : ending.error;
  const { rows } = await sql`with ended as (
      update operation set state = ${ending.state}, result = ${result}::jsonb, error_code = ${error?.code ?? null},
        error_message = ${error?.message ?? null}, finished_at = ${now}, lease_owner = null, lease_until = null
      where id = ${id} and fence = ${fence} and state = 'running' returning id)
    select pg_notify(${CHANNEL}, id) from ended`.execute(trx);
  return rows.length > 0;
}

/** Puts it back for a later attempt (`at`), or lets another process have it at once. False when the lease was lost. */
export async function giveBack(
  db: Executor,
  { id, fence }: { id: string; fence: number },
  at: Date,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('operation')
    .set({ state: 'scheduled', run_at: at, lease_owner: null, lease_until: null })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('state', '=', 'running')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Asks a running operation to end, or ends a scheduled one. Answers its state before; undefined when unknown. */
export async function requestCancel(
  db: Executor,
  id: string,
  now: Date,
): Promise<OperationTable['state'] | undefined> {
  const { rows } = await sql<{ state: OperationTable['state'] }>`
    with before as (select id, state from operation where id = ${id} for update),
    asked as (update operation o set cancel_requested = true from before b
      where o.id = b.id and b.state = 'running' returning o.id),
    ended as (update operation o set cancel_requested = true, state = 'cancelled', finished_at = ${now},
        error_code = 'conflict', error_message = 'the operation was cancelled'
      from before b where o.id = b.id and b.state = 'scheduled' returning o.id)
    select b.state, (select pg_notify(${CHANNEL}, id) from (select id from asked union all select id from ended) n)
    from before b`.execute(db);
  return rows[0]?.state;
}

/** Stores a step's result. False when the lease was lost. */
export async function insertStep(
  db: Executor,
  { id, fence }: { id: string; fence: number },
  name: string,
  result: Json | undefined,
  now: Date,
): Promise<boolean> {
  const stored = result === undefined ? null : JSON.stringify(result);
  const { rows } = await sql`insert into operation_step (operation_id, name, result, at)
    select id, ${name}, ${stored}::jsonb, ${now} from operation
    where id = ${id} and fence = ${fence} and state = 'running' for update
    returning name`.execute(db);
  return rows.length > 0;
}

/** Results of the steps that are done. */
export async function readSteps(db: Executor, id: string): Promise<Map<string, Json | undefined>> {
  const rows = await db
    .selectFrom('operation_step')
    .select(['name', 'result'])
    .where('operation_id', '=', id)
    .execute();
  return new Map(rows.map(({ name, result }) => [name, result ?? undefined]));
}

/** Progress and log lines gathered since the last time. */
export async function writeNotes(
  db: Executor,
  { id, fence }: { id: string; fence: number },
  progress: { text: string; percent: number | null } | null,
  lines: readonly { at: Date; text: string }[],
): Promise<void> {
  if (progress !== null) {
    await db
      .updateTable('operation')
      .set({ progress_text: progress.text, progress_percent: progress.percent })
      .where('id', '=', id)
      .where('fence', '=', fence)
      .execute();
  }
  if (lines.length > 0) {
    await sql`insert into operation_log (operation_id, at, text)
      select ${id}, l.at, l.text from unnest(${lines.map(({ at }) => at.toISOString())}::timestamptz[],
        ${lines.map(({ text }) => text)}::text[]) with ordinality l (at, text, n) order by l.n`.execute(db);
  }
}

/** A row as a runner takes it. */
export function toQueued(row: OperationTable): QueuedOperation {
  const { id, kind, subject, team_id: teamId, input, fence, attempt } = row;
  return { id, kind, subject, teamId, input, fence, attempt, leased: true };
}
