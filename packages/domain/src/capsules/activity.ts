/**
 * When each capsule was last used, and by how many right now. Kept in memory and written in batches: the
 * data path never waits for the database. Used inside the area only.
 */
import type { Database } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import { recordActivity } from './store.ts';

export interface Activity {
  /** Something happened just now. */
  touch(id: string): void;
  /** Somebody works inside until the returned function is called; that long it is not idle. */
  begin(id: string): () => void;
  inUse(id: string): boolean;
  /** Last time known here, null when this process saw none. */
  lastSeen(id: string): Date | null;
  forget(id: string): void;
  flush(): Promise<void>;
}

export function createActivity(deps: { db: Database; clock: Clock; log: Logger }): Activity {
  const seen = new Map<string, { at: Date; users: number; written: boolean }>();
  const entry = (id: string) => {
    let known = seen.get(id);
    if (!known) {
      known = { at: deps.clock.now(), users: 0, written: false };
      seen.set(id, known);
    }
    known.at = deps.clock.now();
    known.written = false;
    return known;
  };
  return {
    touch: (id) => {
      entry(id);
    },
    begin: (id) => {
      const known = entry(id);
      known.users++;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        known.users--;
        known.at = deps.clock.now();
        known.written = false;
      };
    },
    inUse: (id) => (seen.get(id)?.users ?? 0) > 0,
    lastSeen: (id) => seen.get(id)?.at ?? null,
    forget: (id) => {
      seen.delete(id);
    },
    flush: async () => {
      const fresh = [...seen].filter(([, known]) => !known.written);
      if (fresh.length === 0) return;
      await recordActivity(
        deps.db.kysely,
        fresh.map(([id, { at }]) => ({ id, at })),
      );
      for (const [, known] of fresh) known.written = true;
    },
  };
}
