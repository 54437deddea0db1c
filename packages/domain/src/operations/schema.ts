/** Tables of the area. */
import type { ErrorCode } from '@aviary/kernel';
import type { Json, OperationState } from './model.ts';

export interface OperationTable {
  id: string;
  kind: string;
  subject: string;
  team_id: string | null;
  state: OperationState;
  input: Json;
  result: Json;
  error_code: ErrorCode | null;
  error_message: string | null;
  progress_text: string | null;
  progress_percent: number | null;
  /** Starts so far. */
  attempt: number;
  /** Grows with each start; writes of an earlier start are refused by it. */
  fence: number;
  lease_owner: string | null;
  lease_until: Date | null;
  run_at: Date | null;
  cancel_requested: boolean;
  idempotency_key: string | null;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

export interface OperationStepTable {
  operation_id: string;
  name: string;
  result: Json;
  at: Date;
}

export interface OperationLogTable {
  seq: number;
  operation_id: string;
  at: Date;
  text: string;
}

declare module '@aviary/db/schema' {
  interface Schema {
    operation: OperationTable;
    operation_step: OperationStepTable;
    operation_log: OperationLogTable;
  }
}
