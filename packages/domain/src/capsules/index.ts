/** Capsules: the only file of this area that others import. */
import type { Guest } from '@aviary/protocol';
import type { Actor } from '../identity/index.ts';
import type {
  Capsule,
  CapsuleFilter,
  CapsulePage,
  CreateCapsule,
  CreateSnapshot,
  Template,
} from './model.ts';

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
}
