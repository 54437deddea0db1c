/** Tables of the area. */
import type { JournalValue } from '../identity/index.ts';

export interface AuditLogTable {
  seq: number;
  at: Date;
  action: string;
  outcome: 'done' | 'refused' | 'failed';
  actor_type: 'nobody' | 'user' | 'api_key' | 'host' | 'system';
  actor_id: string;
  actor_name: string;
  ip: string | null;
  team_id: string | null;
  resource_type: string | null;
  resource_id: string | null;
  details: Record<string, JournalValue>;
}

/** One link per row of the log, in the order of chaining. */
export interface AuditChainTable {
  position: number;
  seq: number;
  hash: Buffer;
}

/** Rows of the log that are not chained yet. */
export interface AuditPendingTable {
  seq: number;
}

declare module '@aviary/db/schema' {
  interface Schema {
    audit_log: AuditLogTable;
    audit_chain: AuditChainTable;
    audit_pending: AuditPendingTable;
  }
}
