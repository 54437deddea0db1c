/** Password hashes: Argon2id with the parameters of OWASP's Password Storage Cheat Sheet (19 MiB, 2 passes). */
import { AviaryError } from '@aviary/kernel';
import { hash, verify } from '@node-rs/argon2';

const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hashes at once; more would take all of libuv's threads from files and DNS. */
const WIDTH = 2;

/** Hashes that wait; at some 50 a second more would answer when nobody listens any more. */
const MAX_WAITING = 200;

/** Errors: rate_limited when too many hashes are asked for at once, by everybody together. */
export interface Passwords {
  hash(password: string): Promise<string>;
  /** Takes as long for an unknown account (null) as for a known one. */
  verify(stored: string | null, password: string): Promise<boolean>;
}

/** The hasher; computes the hash that stands in for unknown accounts. */
export async function createPasswords(maxWaiting = MAX_WAITING): Promise<Passwords> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const limited = async <T>(work: () => Promise<T>): Promise<T> => {
    if (waiting.length >= maxWaiting) {
      throw new AviaryError('rate_limited', 'too many passwords are being checked: try again in 5 s', {
        details: { retryAfterSec: 5 },
      });
    }
    if (running >= WIDTH) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
  const nobodys = await hash('the password of nobody', PARAMETERS);
  return {
    hash: (password) => limited(() => hash(password, PARAMETERS)),
    verify: async (stored, password) => {
      const right = await limited(() => verify(stored ?? nobodys, password));
      return right && stored !== null;
    },
  };
}
