/** Hosts, the way to talk to them, and who fits where. The areas of workloads use this file. */
import type { Database, Migration, Trx } from '@aviary/db';
import type { Clock, Logger, RandomBytes } from '@aviary/kernel';
import type { CapsuleHost } from '@aviary/protocol';
import type { NewEvent } from '../events/index.ts';
import type { Actor, Journal } from '../identity/index.ts';
import type { Host, HostFacts, Overcommit, Reservation } from './model.ts';

export * from './model.ts';

/** The way to each host that is connected. */
export interface HostLinks {
  /** Error: host_unavailable when it is not connected. */
  capsules(hostId: string): CapsuleHost;
  /** Ids of connected hosts. */
  connected(): string[];
  /** Called by the composition root (this machine) and by agents' connections. The function disconnects. */
  connect(hostId: string, link: { capsules: CapsuleHost }): () => void;
}

export interface HostsDeps {
  db: Database;
  journal: Journal<NewEvent>;
  clock: Clock;
  log: Logger;
  random?: RandomBytes;
  overcommit?: Partial<Overcommit>;
}

export interface Hosts {
  readonly links: HostLinks;
  /** This machine as a host: made at first start, its facts updated at each; `name` tells machines on one
   *  database apart (the instance id of the data directory). */
  ensureLocalHost(name: string, facts: HostFacts): Promise<Host>;
  /** Platform admins see all hosts, members those of their team. Error: not_found. */
  get(actor: Actor, id: string): Promise<Host>;
  list(actor: Actor): Promise<Host[]>;
  /**
   * Picks the online, connected host with the most headroom (or checks `hostId`) and reserves there, in the
   * caller's transaction; call it late in it, the host's row stays locked until its end.
   * Shrinking always fits. Errors: capacity_exceeded (`details.free` = {memoryMb, diskMb, vcpus} of the best
   * host), host_unavailable (none online).
   */
  reserve(trx: Trx, need: Reservation & { hostId?: string; teamId: string }): Promise<{ hostId: string }>;
  /** Gives back what the workload had; unknown subjects are fine. */
  release(trx: Trx, subject: string): Promise<void>;
}

export declare const migrations: readonly Migration[];
export declare function createHosts(deps: HostsDeps): Hosts;
