/** Writes and reads the log's rows. Inside the area. */
import type { Executor } from '@aviary/db';
import { invalidField } from '@aviary/kernel';
import { sql } from 'kysely';
import { type AuditEntry, actorIp, actorRef, type JournalValue } from '../identity/index.ts';
import type { AuditQuery, AuditRecord } from './model.ts';
import type { AuditLogTable } from './schema.ts';

/** The row and its mark for the chainer, in one statement. */
export async function insertEntry(db: Executor, entry: AuditEntry, at: Date): Promise<void> {
  const actor = actorRef(entry.actor);
  const details: Readonly<Record<string, JournalValue>> = entry.details ?? {};
  await sql`with written as (
      insert into audit_log (at, action, outcome, actor_type, actor_id, actor_name, ip, team_id,
        resource_type, resource_id, details)
      values (${at}, ${entry.action}, ${entry.outcome}, ${actor.type}, ${actor.id}, ${actor.name},
        ${actorIp(entry.actor)}, ${entry.teamId}, ${entry.resource?.type ?? null}, ${entry.resource?.id ?? null},
        ${JSON.stringify(details)}::jsonb)
      returning seq)
    insert into audit_pending (seq) select seq from written`.execute(db);
}

/** One page, newest first. Error: invalid_request for a bad cursor or limit. */
export async function queryLog(
  db: Executor,
  query: AuditQuery,
): Promise<{ records: AuditRecord[]; cursor: string | null }> {
  const limit = query.limit ?? 50;
  if (!Number.isInteger(limit) || limit < 1 || limit > 500) throw invalidField('limit', 'must be 1-500');
  let select = db
    .selectFrom('audit_log')
    .selectAll()
    .orderBy('seq', 'desc')
    .limit(limit + 1);
  if (query.cursor !== undefined) {
    if (!/^\d{1,15}$/.test(query.cursor)) throw invalidField('cursor', 'is not one of ours');
    select = select.where('seq', '<', Number(query.cursor));
  }
  if (query.teamId !== undefined) select = select.where('team_id', '=', query.teamId);
  if (query.actorId !== undefined) select = select.where('actor_id', '=', query.actorId);
  if (query.action !== undefined) select = select.where('action', '=', query.action);
  if (query.outcome !== undefined) select = select.where('outcome', '=', query.outcome);
  if (query.resourceId !== undefined) select = select.where('resource_id', '=', query.resourceId);
  if (query.since !== undefined) select = select.where('at', '>=', query.since);
  if (query.until !== undefined) select = select.where('at', '<', query.until);
  const rows = await select.execute();
  const records = rows.slice(0, limit).map(toRecord);
  return { records, cursor: rows.length > limit ? String(records.at(-1)?.seq) : null };
}

function toRecord(row: AuditLogTable): AuditRecord {
  const { resource_type: type, resource_id: id } = row;
  return {
    seq: row.seq,
    at: row.at,
    action: row.action,
    outcome: row.outcome,
    actor: { type: row.actor_type, id: row.actor_id, name: row.actor_name },
    ip: row.ip,
    teamId: row.team_id,
    resource: type === null || id === null ? null : { type, id },
    details: row.details,
  };
}
