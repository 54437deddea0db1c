/**
 * A small cache of what was read from the database: bounded, short-lived, dropped by event. A read that was
 * under way when something was dropped is not kept, since it may have seen the time before. Used inside the area.
 */
import type { Clock } from '@aviary/kernel';

export interface Cache<T> {
  /** The value of `key`, read by `load` when it is not here. Null answers are not kept. */
  get(key: string, load: () => Promise<T | null>): Promise<T | null>;
  /** The value when it is here and fresh. */
  peek(key: string): T | null;
  /** Forgets what `stale` says. */
  drop(stale: (value: T) => boolean): void;
}

export function createCache<T>(options: { max: number; ttlMs: number; clock: Clock }): Cache<T> {
  const { max, ttlMs, clock } = options;
  const entries = new Map<string, { value: T; until: number }>();
  const loading = new Map<string, { promise: Promise<T | null>; generation: number }>();
  let generation = 0;
  const peek = (key: string) => {
    const entry = entries.get(key);
    return entry !== undefined && entry.until > clock.monotonicMs() ? entry.value : null;
  };
  const load = async (key: string, read: () => Promise<T | null>, born: number) => {
    try {
      const value = await read();
      if (value !== null && born === generation) {
        entries.delete(key);
        entries.set(key, { value, until: clock.monotonicMs() + ttlMs });
        const oldest = entries.keys().next().value;
        if (entries.size > max && oldest !== undefined) entries.delete(oldest);
      }
      return value;
    } finally {
      if (loading.get(key)?.generation === born) loading.delete(key);
    }
  };
  return {
    peek,
    get: (key, read) => {
      const known = peek(key);
      if (known !== null) return Promise.resolve(known);
      const under = loading.get(key);
      if (under !== undefined && under.generation === generation) return under.promise;
      const promise = load(key, read, generation);
      loading.set(key, { promise, generation });
      return promise;
    },
    drop: (stale) => {
      generation += 1;
      for (const [key, { value }] of entries) if (stale(value)) entries.delete(key);
    },
  };
}
