/**
 * How often a credential may be wrong. Sliding windows in memory, so each replica counts for itself: with n
 * replicas a guesser has n times as many tries, which these numbers allow for. Used inside the area.
 */
import { AviaryError, type Clock } from '@aviary/kernel';

export interface Limit {
  max: number;
  windowSec: number;
}

/** Failed attempts (or uses, where it says so) allowed per window before `rate_limited`. Windows in seconds. */
export interface CredentialLimits {
  /** Failed logins per account and address. Default 10 per 300 s. */
  loginPerAccountAndIp: Limit;
  /** Failed logins per address. Default 50 per 300 s. */
  loginPerIp: Limit;
  /** Failed tokens and API keys per address. Default 300 per 60 s: both are too long to be guessed. */
  tokenPerIp: Limit;
  /** Signups (all, not only failed ones) per address. Default 300 per 3600 s. */
  signupPerIp: Limit;
  /** Searches for people, and additions to a team, per account: both say who exists. Default 60 per 60 s. */
  lookupPerAccount: Limit;
}

export const DEFAULT_LIMITS: CredentialLimits = {
  loginPerAccountAndIp: { max: 10, windowSec: 300 },
  loginPerIp: { max: 50, windowSec: 300 },
  tokenPerIp: { max: 300, windowSec: 60 },
  signupPerIp: { max: 300, windowSec: 3600 },
  lookupPerAccount: { max: 60, windowSec: 60 },
};

export interface Limiter {
  /**
   * Does one attempt, and counts it when `failed` says so of its error. Attempts under way count too until
   * they are over, so many at once get no more tries than one after the other; those over the limit wait.
   * Error: rate_limited (`details.retryAfterSec`, at least 1).
   */
  attempt<T>(key: string, work: () => Promise<T>, failed: (error: unknown) => boolean): Promise<T>;
  /** Counts one without work. Error: rate_limited. */
  count(key: string): void;
}

/** Keys remembered at most; the longest untouched are forgotten first. */
const MAX_KEYS = 50_000;

interface Window {
  /** When the counted ones were, milliseconds, oldest first. */
  counted: number[];
  underWay: number;
  waiting: (() => void)[];
}

export function createLimiter({ max, windowSec }: Limit, clock: Clock): Limiter {
  const windows = new Map<string, Window>();

  /** The window of `key` without what is too old, and as the latest touched. */
  const touch = (key: string): Window => {
    const window = windows.get(key) ?? { counted: [], underWay: 0, waiting: [] };
    const since = clock.monotonicMs() - windowSec * 1000;
    window.counted = window.counted.filter((at) => at > since);
    windows.delete(key);
    windows.set(key, window);
    const stalest = windows.keys().next().value;
    if (windows.size > MAX_KEYS && stalest !== undefined) windows.delete(stalest);
    return window;
  };
  const refuseFull = (window: Window) => {
    const oldest = window.counted[0];
    if (oldest === undefined || window.counted.length < max) return;
    const retryAfterSec = Math.max(1, Math.ceil((oldest + windowSec * 1000 - clock.monotonicMs()) / 1000));
    throw new AviaryError('rate_limited', `too many attempts: try again in ${retryAfterSec} s`, {
      details: { retryAfterSec },
    });
  };

  return {
    attempt: async (key, work, failed) => {
      let window = touch(key);
      for (;;) {
        refuseFull(window);
        if (window.counted.length + window.underWay < max) break;
        const { waiting } = window;
        await new Promise<void>((resolve) => waiting.push(resolve));
        window = touch(key);
      }
      window.underWay += 1;
      try {
        return await work();
      } catch (error) {
        if (failed(error)) window.counted.push(clock.monotonicMs());
        throw error;
      } finally {
        window.underWay -= 1;
        // all of them: one that is refused now would not wake the next
        for (const wake of window.waiting.splice(0)) wake();
        if (window.counted.length + window.underWay === 0) windows.delete(key);
      }
    },
    count: (key) => {
      const window = touch(key);
      refuseFull(window);
      window.counted.push(clock.monotonicMs());
    },
  };
}

/** What is counted as one address: an IPv4 address, or the /64 of an IPv6 one (a customer gets that much). */
export function addressKey(ip: string | null): string {
  if (ip === null) return 'none';
  const v4 = /(?:^|:)(\d+\.\d+\.\d+\.\d+)$/.exec(ip)?.[1];
  if (v4 !== undefined) return v4;
  const [head = '', tail] = ip.split('%')[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
