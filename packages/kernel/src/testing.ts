/** Time for tests: stands still until it is moved. Tests of every room use it; the product never does. */
import type { Clock } from './clock.ts';

export interface FakeClock extends Clock {
  /** Moves time on; sleepers whose time has come wake in order, each before the next one. */
  advance(ms: number): Promise<void>;
  /** How many sleep right now. */
  readonly sleepers: number;
}

/** A clock that starts at `start` (default 2026-01-01T00:00:00Z). */
export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let sleeping: { until: number; wake: () => void }[] = [];
  // what a sleeper does next must have run before the one after it wakes
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => new Date(now),
    monotonicMs: () => now - start,
    get sleepers() {
      return sleeping.length;
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => {
          sleeping = sleeping.filter((other) => other !== entry);
          reject(signal?.reason);
        };
        const wake = () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        };
        const entry = { until: now + ms, wake };
        sleeping.push(entry);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    advance: async (ms) => {
      const target = now + ms;
      for (;;) {
        const next = sleeping.filter((s) => s.until <= target).sort((a, b) => a.until - b.until)[0];
        if (next === undefined) break;
        now = Math.max(now, next.until);
        sleeping = sleeping.filter((other) => other !== next);
        next.wake();
        await settle();
      }
      now = target;
      await settle();
    },
  };
}
