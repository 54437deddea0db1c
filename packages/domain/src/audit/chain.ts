/** The hash of one link: the link before it and everything a row says. Pure; the one place where it is computed. */
import { createHash } from 'node:crypto';
import type { AuditLogTable } from './schema.ts';

/** What the first link stands on. */
export const GENESIS = Buffer.alloc(32);

/** SHA-256 of the previous hash and the row as canonical JSON (fixed order, keys of `details` sorted). */
export function linkHash(previous: Buffer, row: AuditLogTable): Buffer {
  const details = Object.fromEntries(Object.entries(row.details).sort(([a], [b]) => (a < b ? -1 : 1)));
  const text = JSON.stringify([
    row.seq,
    row.at.toISOString(),
    row.action,
    row.outcome,
    row.actor_type,
    row.actor_id,
    row.actor_name,
    row.ip,
    row.team_id,
    row.resource_type,
    row.resource_id,
    details,
  ]);
  return createHash('sha256').update(previous).update(text).digest();
}
