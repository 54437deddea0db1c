/** Reads capsules and templates. Used inside the area only. */
import type { Executor } from '@aviary/db';
import { AviaryError, invalidField } from '@aviary/kernel';
import { type Selectable, sql } from 'kysely';
import type { Capsule, CapsuleFilter, CapsulePage, CapsuleStatus, Template } from './model.ts';
import type { CapsuleTable, TemplateTable } from './schema.ts';

/** States a capsule is not listed in, because it exists no more. */
const GONE: CapsuleStatus[] = ['stopped', 'error'];

/** Every capsule of today runs on the machine of its control plane. */
export const HOST_IP = '127.0.0.1';

function toCapsule(row: Selectable<CapsuleTable>): Capsule {
  return {
    id: row.id,
    teamId: row.team_id,
    hostId: row.host_id,
    status: row.status,
    statusReason: row.status_reason,
    transition: row.transition,
    template: row.template_name,
    templateRef: row.template_ref,
    vcpus: row.vcpus,
    memoryMb: row.memory_mb,
    diskMb: row.disk_mb,
    timeoutSec: row.timeout_sec,
    metadata: row.metadata,
    user: row.default_user,
    guestIp: row.guest_ip,
    hostIp: HOST_IP,
    createdAt: row.created_at,
    startedAt: row.started_at,
    lastActiveAt: row.last_active_at,
    updatedAt: row.updated_at,
  };
}

function toTemplate(row: Selectable<TemplateTable>): Template & { hostId: string | null } {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    teamId: row.team_id,
    hostId: row.host_id,
    vcpus: row.vcpus,
    memoryMb: row.memory_mb,
    diskMb: row.disk_mb,
    sizeBytes: Number(row.size_bytes),
    createdAt: row.created_at,
  };
}

/** Of that team, or of any for the product itself (null). `lock` holds the row to the transaction's end. */
export async function getCapsule(
  db: Executor,
  id: string,
  teamId: string | null,
  lock = false,
): Promise<Capsule> {
  let query = db.selectFrom('capsule').selectAll().where('id', '=', id);
  if (teamId !== null) query = query.where('team_id', '=', teamId);
  if (lock) query = query.forUpdate();
  const row = await query.executeTakeFirst();
  if (!row) throw new AviaryError('capsule_not_found', `there is no capsule ${id.slice(0, 64)}`);
  return toCapsule(row);
}

/** One page of a team's capsules, newest first; the cursor stays good while capsules come and go. */
export async function listCapsules(
  db: Executor,
  teamId: string,
  filter: CapsuleFilter,
): Promise<CapsulePage> {
  const limit = filter.limit ?? 1000;
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw invalidField('limit', 'must be from 1 to 1000');
  let query = db.selectFrom('capsule').selectAll().where('team_id', '=', teamId);
  query = filter.status ? query.where('status', '=', filter.status) : query.where('status', 'not in', GONE);
  if (filter.template !== undefined) query = query.where('template_name', '=', filter.template);
  if (filter.metadata !== undefined) {
    query = query.where(sql<boolean>`metadata @> ${JSON.stringify(filter.metadata)}::jsonb`);
  }
  if (filter.cursor !== undefined) {
    const [at, id] = parseCursor(filter.cursor);
    query = query.where(sql<boolean>`(created_at, id) < (${at}::timestamptz, ${id})`);
  }
  const rows = await query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const capsules = rows.slice(0, limit).map(toCapsule);
  const last = capsules.at(-1);
  const more = rows.length > limit && last;
  return { capsules, nextCursor: more ? formatCursor(last) : null };
}

function formatCursor(capsule: Capsule): string {
  return Buffer.from(`${capsule.createdAt.toISOString()} ${capsule.id}`).toString('base64url');
}

function parseCursor(cursor: string): [at: string, id: string] {
  const match = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (cl-[0-9a-z]{25})$/.exec(
    Buffer.from(cursor, 'base64url').toString(),
  );
  if (!match) throw invalidField('cursor', 'is not one that a listing answered');
  return [match[1]!, match[2]!];
}

/** What a host should have: everything that is not gone. */
export async function capsulesOfHost(db: Executor, hostId: string): Promise<Capsule[]> {
  const rows = await db
    .selectFrom('capsule')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('status', 'not in', GONE)
    .execute();
  return rows.map(toCapsule);
}

/** Running ones whose time without activity is over, as far as the database knows. */
export async function idleCapsules(db: Executor, hostIds: readonly string[], now: Date): Promise<Capsule[]> {
  if (hostIds.length === 0) return [];
  const rows = await db
    .selectFrom('capsule')
    .selectAll()
    .where('status', '=', 'running')
    .where('transition', 'is', null)
    .where('timeout_sec', '>', 0)
    .where('host_id', 'in', [...hostIds])
    .where(sql<boolean>`last_active_at + timeout_sec * interval '1 second' <= ${now}`)
    .limit(100)
    .execute();
  return rows.map(toCapsule);
}

/** Whether there is such a capsule and it is not gone. */
export async function isLiving(db: Executor, id: string): Promise<boolean> {
  const row = await db.selectFrom('capsule').select('status').where('id', '=', id).executeTakeFirst();
  return row !== undefined && !GONE.includes(row.status);
}

/** Ids of a team's capsules that are not gone. */
export async function livingCapsules(db: Executor, teamId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('capsule')
    .select('id')
    .where('team_id', '=', teamId)
    .where('status', 'not in', GONE)
    .execute();
  return rows.map(({ id }) => id);
}

/**
 * How many capsules are in each status that is not gone, over all teams; absent when there are none. Answered
 * by the partial index, so what is gone costs nothing however much of it there is.
 */
export function countLiving(db: Executor) {
  return db
    .selectFrom('capsule')
    .select(['status', (eb) => eb.fn.countAll<string>().as('count')])
    .where('status', 'not in', GONE)
    .groupBy('status');
}

/** A base or one of the team's snapshots. */
export async function getTemplate(
  db: Executor,
  teamId: string,
  name: string,
): Promise<Template & { hostId: string | null }> {
  const row = await findTemplate(db, teamId, name);
  if (!row) throw new AviaryError('template_not_found', `there is no template ${name}`);
  return row;
}

/** The same without the error. The team's own come first, though names of bases are reserved. */
export async function findTemplate(
  db: Executor,
  teamId: string,
  name: string,
): Promise<(Template & { hostId: string | null }) | null> {
  const row = await db
    .selectFrom('template')
    .selectAll()
    .where('name', '=', name)
    .where((eb) => eb.or([eb('team_id', '=', teamId), eb('team_id', 'is', null)]))
    .executeTakeFirst();
  return row ? toTemplate(row) : null;
}

/** The team's snapshots and the bases, newest first. */
export async function listTemplates(
  db: Executor,
  teamId: string,
  type?: Template['type'],
): Promise<Template[]> {
  let query = db
    .selectFrom('template')
    .selectAll()
    .where((eb) => eb.or([eb('team_id', '=', teamId), eb('team_id', 'is', null)]));
  if (type) query = query.where('type', '=', type);
  const rows = await query.orderBy('created_at', 'desc').orderBy('id').execute();
  return rows.map(toTemplate);
}

/** Ids of the snapshots that a host should hold. */
export async function snapshotsOfHost(db: Executor, hostId: string): Promise<string[]> {
  const rows = await db.selectFrom('template').select('id').where('host_id', '=', hostId).execute();
  return rows.map(({ id }) => id);
}
