/** Capsules: the only file of this area that others import. */
import { AviaryError } from '@aviary/kernel';
import type { Guest } from '@aviary/protocol';
import type { DomainEvent, Events } from '../events/index.ts';
import type { Actor } from '../identity/index.ts';
import { createActivity } from './activity.ts';
import { createCapsule } from './commands/createCapsule.ts';
import { createSnapshot } from './commands/createSnapshot.ts';
import { deleteTemplate } from './commands/deleteTemplate.ts';
import { destroyCapsule } from './commands/destroyCapsule.ts';
import { forkCapsule } from './commands/forkCapsule.ts';
import { pauseCapsule } from './commands/pauseCapsule.ts';
import { resumeCapsule } from './commands/resumeCapsule.ts';
import { setTimeout } from './commands/setTimeout.ts';
import { pingCapsule, useCapsule } from './commands/useCapsule.ts';
import { authorize, type CapsulesDeps, type Parts } from './deps.ts';
import {
  type Capsule,
  type CapsuleFilter,
  type CapsulePage,
  type CreateCapsule,
  type CreateSnapshot,
  LIVING,
  type Template,
} from './model.ts';
import { countLiving, getCapsule, listCapsules, listTemplates, livingCapsules } from './queries.ts';
import { startReaper } from './reaper.ts';
import { markDead, reconcileHost } from './reconcile.ts';
import { createHandler } from './steps/create.ts';
import { destroyHandler } from './steps/destroy.ts';
import { forkHandler } from './steps/fork.ts';
import { pauseHandler } from './steps/pause.ts';
import { removeSnapshotHandler } from './steps/removeSnapshot.ts';
import { resumeHandler } from './steps/resume.ts';
import { snapshotHandler } from './steps/snapshot.ts';

export type { CapsulesDeps } from './deps.ts';
export { migrations } from './migrations.ts';
export * from './model.ts';

/**
 * Everything that can be asked of capsules. Every call checks the policy of the actor's team first
 * (`unauthorized`, `forbidden`); an object of another team does not exist (`capsule_not_found`,
 * `template_not_found`).
 */
export interface Capsules {
  /** Running and personalised when it resolves. Errors: invalid_request, template_not_found, capacity_exceeded. */
  create(actor: Actor, order: CreateCapsule): Promise<Capsule>;
  /** Also destroyed ones. */
  get(actor: Actor, id: string): Promise<Capsule>;
  /** Newest first, without stopped and failed ones unless the filter asks for that status. */
  list(actor: Actor, filter?: CapsuleFilter): Promise<CapsulePage>;
  /** Gone when it resolves; destroying a destroyed one is fine. */
  destroy(actor: Actor, id: string): Promise<void>;
  /** Resets the inactivity timer. Errors: capsule_not_running. */
  ping(actor: Actor, id: string): Promise<void>;
  /** Changes the inactivity timeout, seconds. Errors: invalid_request, capsule_not_found. */
  setTimeout(actor: Actor, id: string, timeoutSec: number): Promise<Capsule>;
  /** Errors: capsule_not_running, capsule_busy. */
  pause(actor: Actor, id: string): Promise<Capsule>;
  /** Errors: capsule_not_paused, capsule_busy, capacity_exceeded. */
  resume(actor: Actor, id: string): Promise<Capsule>;
  /** `count` new running capsules with this one's memory, processes and disk; it goes on. */
  fork(actor: Actor, id: string, count: number): Promise<Capsule[]>;
  /**
   * Works inside a running capsule; counts as activity until `work` settles. Errors: capsule_not_running,
   * capsule_lost and those of {@link Guest}.
   */
  use<T>(actor: Actor, id: string, work: (guest: Guest, capsule: Capsule) => Promise<T>): Promise<T>;

  /** Errors: capsule_not_running, template_name_taken, name_reserved, invalid_request. */
  createSnapshot(actor: Actor, order: CreateSnapshot): Promise<Template>;
  /** The team's snapshots and the public bases, newest first. */
  listTemplates(actor: Actor, type?: Template['type']): Promise<Template[]>;
  /** Capsules made from it live on. Errors: template_not_found, forbidden for bases. */
  deleteTemplate(actor: Actor, name: string): Promise<void>;

  /** How many capsules there are in each status but stopped and error, over all teams; for metrics. */
  countByStatus(): Promise<Record<string, number>>;
  /** Makes the record agree with a host that was just connected, and listens to it. Before operations recover. */
  attachHost(hostId: string): Promise<void>;
  /** Starts pausing idle capsules and cleaning up after deleted teams. */
  start(events: Events): Promise<void>;
  /** Ends that; capsules run on. */
  stop(): Promise<void>;
}

/** The area, wired; registers its operations. */
export function createCapsules(deps: CapsulesDeps): Capsules {
  const parts: Parts = { ...deps, activity: createActivity(deps), orders: new Map() };
  const { db, operations, hosts, log } = deps;
  const handlers = [
    createHandler,
    destroyHandler,
    pauseHandler,
    resumeHandler,
    forkHandler,
    snapshotHandler,
    removeSnapshotHandler,
  ];
  for (const handler of handlers) operations.register(handler(parts));
  const endings: (() => unknown)[] = [];

  const own = async (actor: Actor, action: 'capsule.list' | 'template.list') => {
    const teamId = await authorize(parts, actor, action);
    if (teamId === null) throw new AviaryError('forbidden', 'this needs an actor that belongs to a team');
    return teamId;
  };

  return {
    create: (actor, order) => createCapsule(parts, actor, order),
    get: async (actor, id) => {
      const capsule = await getCapsule(
        db.kysely,
        id,
        await authorize(parts, actor, 'capsule.get', { type: 'capsule', id }),
      );
      const seen = parts.activity.lastSeen(id);
      const newer = seen !== null && (capsule.lastActiveAt === null || seen > capsule.lastActiveAt);
      return newer ? { ...capsule, lastActiveAt: seen } : capsule;
    },
    list: async (actor, filter = {}) => listCapsules(db.kysely, await own(actor, 'capsule.list'), filter),
    destroy: (actor, id) => destroyCapsule(parts, actor, id),
    ping: (actor, id) => pingCapsule(parts, actor, id),
    setTimeout: (actor, id, seconds) => setTimeout(parts, actor, id, seconds),
    pause: (actor, id) => pauseCapsule(parts, actor, id),
    resume: (actor, id) => resumeCapsule(parts, actor, id),
    fork: (actor, id, count) => forkCapsule(parts, actor, id, count),
    use: (actor, id, work) => useCapsule(parts, actor, id, work),
    createSnapshot: (actor, order) => createSnapshot(parts, actor, order),
    listTemplates: async (actor, type) => listTemplates(db.kysely, await own(actor, 'template.list'), type),
    deleteTemplate: (actor, name) => deleteTemplate(parts, actor, name),
    countByStatus: async () => {
      const rows = await countLiving(db.kysely).execute();
      const counted = new Map(rows.map(({ status, count }) => [status, Number(count)]));
      return Object.fromEntries(LIVING.map((status) => [status, counted.get(status) ?? 0]));
    },
    attachHost: async (hostId) => {
      const host = hosts.links.capsules(hostId);
      const quiet = host.subscribe((event) => {
        if (event.type !== 'capsule.died') return;
        log.warn({ id: event.id, reason: event.reason }, 'a capsule died');
        markDead(parts, event.id, event.reason)
          .then(() => host.destroy(event.id))
          .catch((error) =>
            log.error({ err: error, id: event.id }, 'the death of a capsule could not be recorded'),
          );
      });
      endings.push(quiet);
      await reconcileHost(parts, hostId);
    },
    start: async (events) => {
      const reaper = startReaper(parts);
      const cleanUp = async (event: DomainEvent) => {
        const reason = 'its team was deleted';
        for (const id of await livingCapsules(db.kysely, event.resource.id)) {
          await destroyCapsule(parts, { kind: 'system', part: 'team-cleanup' }, id, reason);
        }
      };
      const quiet = await events.subscribeDurably(
        'capsules.team_deleted',
        { types: ['team.deleted'] },
        cleanUp,
      );
      endings.push(() => reaper.stop(), quiet);
    },
    stop: async () => {
      for (const end of endings.splice(0)) await end();
    },
  };
}
