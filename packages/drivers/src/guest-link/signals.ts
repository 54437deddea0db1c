/** Signal names as Linux numbers. Pure; guest-link only. */
import type { GuestSignal } from '@aviary/protocol';

const NUMBERS: Readonly<Record<GuestSignal, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** The number of a signal on every Linux architecture. */
export function toSignal(signal: GuestSignal): number {
  return NUMBERS[signal];
}
