/** Tables of the area. */
import type { HostStatus } from './model.ts';

export interface HostTable {
  id: string;
  type: 'regular' | 'byoc';
  team_id: string | null;
  provider: string | null;
  availability_zone: string | null;
  arch: string | null;
  cpu_cores: number | null;
  memory_mb: number | null;
  disk_mb: number | null;
  address: string | null;
  status: HostStatus;
  last_heartbeat_at: Date | null;
  /** Instance id of the data directory, for hosts that live in a control plane's process. */
  local_name: string | null;
  /** Sums of the host's reservations, kept with them so that placing does not add up thousands of rows. */
  reserved_memory_mb: number;
  reserved_disk_mb: number;
  reserved_vcpus: number;
  created_by: string;
  created_at: Date;
  updated_at: Date;
}

export interface HostReservationTable {
  /** Id of the workload. */
  subject: string;
  host_id: string;
  memory_mb: number;
  disk_mb: number;
  vcpus: number;
}

declare module '@aviary/db/schema' {
  interface Schema {
    host: HostTable;
    host_reservation: HostReservationTable;
  }
}
