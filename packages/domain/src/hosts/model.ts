/** Machines that run workloads. Types; pure. Sizes in MB (2^20 bytes). */
import type { HostFacts } from '@aviary/protocol';

export type HostStatus = 'pending' | 'online' | 'offline' | 'draining' | 'unreachable';

export interface Host {
  /** `host-…` */
  id: string;
  /** `regular` is shared, `byoc` belongs to a team. */
  type: 'regular' | 'byoc';
  teamId: string | null;
  provider: string | null;
  availabilityZone: string | null;
  arch: string | null;
  cpuCores: number | null;
  memoryMb: number | null;
  diskMb: number | null;
  address: string | null;
  status: HostStatus;
  lastHeartbeatAt: Date | null;
  /** Account that made it, or `system` for this machine. */
  createdBy: string;
  createdAt: Date;
  updatedAt: Date;
}

/** What a workload needs. All zero or more. */
export interface Reservation {
  /** Id of the workload; reserving again for it replaces what it had. */
  subject: string;
  memoryMb: number;
  diskMb: number;
  vcpus: number;
}

/** How much of a host may be promised, as factors of what it has. */
export interface Overcommit {
  /** Default 1.5: idle clones share most of their template's pages. */
  memory: number;
  /** Default 4: overlays are sparse. */
  disk: number;
  /** Default 16. */
  vcpus: number;
}

export type { HostFacts };
