/** Runs one piece of work whenever it is kicked, and at least each `everyMs`; never twice at once. Inside the area. */
import type { Clock } from '@aviary/kernel';

export interface Pulse {
  kick(): void;
  /** Ends it and waits for what runs. */
  stop(): Promise<void>;
}

/**
 * What a kick waits before the work starts, milliseconds: a burst of events becomes one round, and the request
 * that caused them is answered first.
 */
const SETTLE_MS = 10;

/** `work` answers in how many milliseconds it wants to run again at the latest. It must not reject. */
export function createPulse(clock: Clock, work: () => Promise<number>): Pulse {
  let stopped = false;
  let kicked = false;
  let nap = new AbortController();
  const loop = (async () => {
    while (!stopped) {
      kicked = false;
      const everyMs = await work();
      if (stopped || kicked) continue;
      nap = new AbortController();
      await clock.sleep(everyMs, nap.signal).catch(() => undefined);
      if (kicked && !stopped) await clock.sleep(SETTLE_MS);
    }
  })();
  return {
    kick: () => {
      kicked = true;
      nap.abort();
    },
    stop: () => {
      stopped = true;
      nap.abort();
      return loop;
    },
  };
}
