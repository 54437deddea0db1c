/** When API keys were last used: remembered here, written in batches, so that a request costs no write. */
import type { Database } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import { touchApiKeys } from './store.ts';

/** Milliseconds between writes. */
const EVERY = 10_000;

export interface KeyUse {
  touch(keyId: string): void;
  /** Writes now what is remembered. */
  flush(): Promise<void>;
  /** Writes what is remembered, and no more after it. */
  close(): Promise<void>;
}

export function createKeyUse({ db, clock, log }: { db: Database; clock: Clock; log: Logger }): KeyUse {
  const closing = new AbortController();
  let used = new Map<string, Date>();
  const flush = async () => {
    const batch = used;
    used = new Map();
    try {
      await touchApiKeys(db.kysely, batch);
    } catch (error) {
      // last use is a courtesy: keep it for the next time, but newer uses win
      used = new Map([...batch, ...used]);
      throw error;
    }
  };
  const loop = (async () => {
    while (!closing.signal.aborted) {
      await clock.sleep(EVERY, closing.signal).catch(() => undefined);
      await flush().catch((error: unknown) =>
        log.warn({ err: error }, 'last use of API keys is not written yet'),
      );
    }
  })();
  return {
    touch: (keyId) => {
      used.set(keyId, clock.now());
    },
    flush,
    close: async () => {
      closing.abort();
      await loop;
    },
  };
}
