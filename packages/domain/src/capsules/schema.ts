/** Tables of the area. Read by `queries.ts`, written by `store.ts`, made by `migrations.ts`. */
import type { TemplateRef } from '@aviary/protocol';
import type { ColumnType } from 'kysely';
import type { CapsuleStatus, CapsuleTransition } from './model.ts';

/** Stored as JSON text, read as the value. */
type Json<T> = ColumnType<T, string, string>;

export interface CapsuleTable {
  id: string;
  team_id: string;
  host_id: string;
  status: CapsuleStatus;
  status_reason: string | null;
  transition: CapsuleTransition | null;
  template_name: string;
  template_ref: Json<TemplateRef>;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  timeout_sec: number;
  metadata: Json<Readonly<Record<string, string>>>;
  default_user: string;
  guest_ip: string;
  created_by: string;
  created_at: Date;
  started_at: Date | null;
  last_active_at: Date | null;
  updated_at: Date;
}

export interface TemplateTable {
  id: string;
  /** Null for built-in bases. */
  team_id: string | null;
  host_id: string | null;
  name: string;
  type: 'base' | 'snapshot';
  vcpus: number | null;
  memory_mb: number | null;
  disk_mb: number | null;
  size_bytes: ColumnType<string, number, number>;
  created_at: Date;
}

declare module '@aviary/db/schema' {
  interface Schema {
    capsule: CapsuleTable;
    template: TemplateTable;
  }
}
