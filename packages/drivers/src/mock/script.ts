/** The failures and deaths a test orders from the mock. Used by the mock host only. */
import type { AviaryError } from '@aviary/kernel';

export interface Script {
  /** The next call of that name rejects with this error. Several are taken in order. */
  failNext(call: string, error: AviaryError): void;
  /** The next call of that name waits for the promise first. */
  holdNext(call: string, until: Promise<unknown>): void;
  /** Called by the mock at the start of every call. */
  enter(call: string): Promise<void>;
}

/** An empty script: nothing fails. */
export function createScript(): Script {
  const failures: { call: string; error: AviaryError }[] = [];
  const holds: { call: string; until: Promise<unknown> }[] = [];
  const take = <T extends { call: string }>(list: T[], call: string): T | undefined => {
    const at = list.findIndex((entry) => entry.call === call);
    return at < 0 ? undefined : list.splice(at, 1)[0];
  };
  return {
    failNext: (call, error) => {
      failures.push({ call, error });
    },
    holdNext: (call, until) => {
      holds.push({ call, until });
    },
    enter: async (call) => {
      await take(holds, call)?.until;
      const failure = take(failures, call);
      if (failure !== undefined) throw failure.error;
    },
  };
}
