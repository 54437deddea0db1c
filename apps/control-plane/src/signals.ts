/** What signals mean to a running control plane: the first ends it in order, an impatient second one at once. For main. */
import type { Clock } from '@aviary/kernel';

/**
 * Signals this soon after the first are the same wish, ms: `timeout`, systemd and npm send theirs to the
 * process and to its group, so both arrive. A person needs longer for a second Ctrl-C.
 */
export const SAME_WISH_MS = { SIGTERM: 5000, SIGHUP: 5000, SIGINT: 250 } as const;

export type EndSignal = keyof typeof SAME_WISH_MS;

/** Answers what to do with each signal as it comes. */
export function createSignals(clock: Clock): (signal: EndSignal) => 'drain' | 'ignore' | 'exit' {
  let first: number | null = null;
  return (signal) => {
    const now = clock.monotonicMs();
    if (first === null) {
      first = now;
      return 'drain';
    }
    return now - first < SAME_WISH_MS[signal] ? 'ignore' : 'exit';
  };
}
