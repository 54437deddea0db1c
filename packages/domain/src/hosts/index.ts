/** Hosts, the way to talk to them, and who fits where. The areas of workloads use this file. */
import { randomBytes } from 'node:crypto';
import type { Database, Trx } from '@aviary/db';
import { AviaryError, type Clock, type Logger, type RandomBytes } from '@aviary/kernel';
import type { NewEvent } from '../events/index.ts';
import type { Actor, Journal } from '../identity/index.ts';
import { createLinks, type HostLinks } from './links.ts';
import { ensureLocalHost } from './local.ts';
import type { Host, HostFacts, Overcommit, Reservation } from './model.ts';
import { policy } from './policy.ts';
import { visibleHosts } from './queries.ts';
import { DEFAULT_OVERCOMMIT, release, reserve } from './reserve.ts';
import type {} from './schema.ts';

export type { HostLinks } from './links.ts';
export { migrations } from './migrations.ts';
export * from './model.ts';

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

export function createHosts(deps: HostsDeps): Hosts {
  const { db, journal, clock } = deps;
  const random = deps.random ?? randomBytes;
  const overcommit = { ...DEFAULT_OVERCOMMIT, ...deps.overcommit };
  const links = createLinks();
  return {
    links,
    ensureLocalHost: (name, facts) => ensureLocalHost({ db, journal, clock, random }, name, facts),
    get: async (actor, id) => {
      policy.check(actor, 'host.get');
      const host = (await visibleHosts(db.kysely, actor, id))[0];
      if (host === undefined) throw new AviaryError('not_found', 'there is no such host');
      return host;
    },
    list: async (actor) => {
      policy.check(actor, 'host.list');
      return visibleHosts(db.kysely, actor);
    },
    reserve: (trx, need) => reserve(trx, need, links.connected(), overcommit),
    release,
  };
}
