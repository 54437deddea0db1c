/** Tables of the area. */
import type { ActorRef } from '../identity/index.ts';

export interface EventTable {
  /** Order of recording; has gaps where transactions rolled back. */
  seq: number;
  id: string;
  type: string;
  team_id: string | null;
  actor: ActorRef;
  resource_type: string;
  resource_id: string;
  data: unknown;
  at: Date;
}

export interface EventSubscriberTable {
  name: string;
  /** Everything up to here was handled. */
  cursor: number;
  lease_owner: string | null;
  lease_until: Date | null;
}

declare module '@aviary/db/schema' {
  interface Schema {
    event: EventTable;
    event_subscriber: EventSubscriberTable;
  }
}
