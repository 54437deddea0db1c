/** What the audit log keeps and how its chain is checked. Pure. */
import type { ActorRef, JournalValue } from '../identity/index.ts';

/** One row of the log. */
export interface AuditRecord {
  seq: number;
  at: Date;
  action: string;
  outcome: 'done' | 'refused' | 'failed';
  actor: ActorRef;
  ip: string | null;
  teamId: string | null;
  resource: { type: string; id: string } | null;
  details: Readonly<Record<string, JournalValue>>;
}

/** Which rows to show. */
export interface AuditQuery {
  teamId?: string;
  actorId?: string;
  action?: string;
  outcome?: 'done' | 'refused' | 'failed';
  resourceId?: string;
  since?: Date;
  until?: Date;
  /** From the previous page. */
  cursor?: string;
  /** 1-500, default 50. */
  limit?: number;
}

/** What a check of the whole chain found. */
export type AuditVerdict =
  | { ok: true; rows: number; unchained: number; head: string }
  /** `seq` is the first row that was changed, removed or put in. */
  | { ok: false; seq: number; why: string };
