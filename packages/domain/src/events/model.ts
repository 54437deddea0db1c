/** The closed vocabulary of events: every state change of the domain is exactly one of these. Pure. */
import type { ActorRef, EventOf, IdentityEventData } from '../identity/index.ts';

/** Sizes in MB (2^20 bytes). */
export interface CapsuleEventData {
  /** Accepted and placed; not running yet. */
  'capsule.created': { template: string; vcpus: number; memoryMb: number; hostId: string };
  'capsule.running': { hostId: string };
  /** `reason` is `requested`, `idle` (its time without activity was over) or `recovery`. */
  'capsule.paused': { reason: string };
  'capsule.resumed': { hostId: string };
  /** The resource is the source. */
  'capsule.forked': { children: readonly string[] };
  'capsule.destroyed': { reason: string };
  /** It died, was lost or could not be made; `reason` is a sentence. */
  'capsule.error': { reason: string };
  'template.snapshot.created': { name: string; sizeBytes: number; capsuleId: string };
  'template.snapshot.deleted': { name: string };
}

export interface HostEventData {
  'host.created': { type: string };
  'host.up': { address: string | null };
  'host.down': { reason: string };
  'host.deleted': Record<string, never>;
}

export interface OperationEventData {
  /** Long-running ones only; short ones speak through their subject's events. */
  'operation.finished': { kind: string; subject: string; state: string; errorCode: string | null };
}

/** Type -> data, of the whole domain. Add a line here to add an event. */
export interface EventData extends IdentityEventData, CapsuleEventData, HostEventData, OperationEventData {}

export type EventType = keyof EventData;

/** An event to be recorded. */
export type NewEvent = EventOf<EventData>;

/** A recorded event. `seq` orders events of one resource; it has gaps. */
export type DomainEvent = NewEvent & { readonly id: string; readonly seq: number; readonly at: Date };

/** Which events a subscriber gets. Absent fields match everything. */
export interface EventFilter {
  types?: readonly EventType[];
  teamId?: string;
  resourceId?: string;
}

export type { ActorRef };

/** True when the filter lets the event through. */
export function matches(filter: EventFilter, event: DomainEvent): boolean {
  if (filter.types !== undefined && !filter.types.includes(event.type)) return false;
  if (filter.teamId !== undefined && filter.teamId !== event.teamId) return false;
  return filter.resourceId === undefined || filter.resourceId === event.resource.id;
}
