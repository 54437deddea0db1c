/**
 * What commands write besides their state: events and audit rows. Declared here because identity is the
 * leftmost area and writes them too; `events` and `audit` implement it and the composition root joins them.
 */
import type { Trx } from '@aviary/db';
import type { Actor, ActorRef } from './actor.ts';

/** Values that may stand in events and audit rows. Never a secret. */
export type JournalValue = string | number | boolean | null | readonly string[];

/** What a command did or was refused to do. */
export interface AuditEntry {
  /** `<kind>.<verb>`, the policy's name of the action, e.g. `apikey.create`. */
  action: string;
  outcome: 'done' | 'refused' | 'failed';
  actor: Actor;
  /** Team whose log shows it; null for what concerns the installation only. */
  teamId: string | null;
  resource: { type: string; id: string } | null;
  details?: Readonly<Record<string, JournalValue>>;
}

/** One event as it is recorded; `Data` maps each type to its own fields. */
export type EventOf<Data> = {
  [Type in keyof Data & string]: {
    type: Type;
    /** Team it belongs to; null for events of the installation. */
    teamId: string | null;
    actor: ActorRef;
    resource: { type: string; id: string };
    data: Data[Type];
  };
}[keyof Data & string];

/** The writing side of events and audit. */
export interface Journal<Event> {
  /** Into the outbox, in the caller's transaction. */
  event(trx: Trx, event: Event): Promise<void>;
  /** Into the audit log, in the caller's transaction. */
  audit(trx: Trx, entry: AuditEntry): Promise<void>;
  /**
   * A refusal or failure, outside any transaction (the caller's was rolled back). Bounded per actor; what is
   * over the bound is counted, not stored. Never rejects: a refusal must not turn into another error.
   */
  refused(entry: AuditEntry): Promise<void>;
}
