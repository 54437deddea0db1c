/** Refusals go to the log too, but nobody may fill the disk with them: bounded per actor or address. Inside the area. */
import type { Database } from '@aviary/db';
import { type Clock, isAviaryError, type Logger } from '@aviary/kernel';
import { type AuditEntry, actorIp, actorRef, addressKey, createLimiter } from '../identity/index.ts';
import { insertEntry } from './store.ts';

export function createRefusals(deps: { db: Database; clock: Clock; log: Logger; perMinute: number }) {
  const { db, clock, log } = deps;
  const limiter = createLimiter({ max: deps.perMinute, windowSec: 60 }, clock);
  const dropped = new Map<string, number>();

  /** Never rejects: the refusal itself is what the caller answers. */
  return async (entry: AuditEntry): Promise<void> => {
    const { type, id } = actorRef(entry.actor);
    const who = id === '' ? `${type} ${addressKey(actorIp(entry.actor))}` : `${type} ${id}`;
    try {
      limiter.count(who);
      const more = dropped.get(who);
      dropped.delete(who);
      const details = more === undefined ? entry.details : { ...entry.details, dropped_before: more };
      await insertEntry(db.kysely, { ...entry, ...(details === undefined ? {} : { details }) }, clock.now());
    } catch (error) {
      if (isAviaryError(error, 'rate_limited')) {
        dropped.set(who, (dropped.get(who) ?? 0) + 1);
        if (dropped.size > 10_000) dropped.clear(); // as many addresses at once are a flood, not a log
        return;
      }
      log.warn({ err: error, action: entry.action }, 'a refusal could not be written to the audit log');
    }
  };
}
