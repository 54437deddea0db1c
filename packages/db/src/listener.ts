/**
 * The one connection for LISTEN. It also is the pulse: a ping each second tells whether PostgreSQL answers.
 * Used by `open.ts` only.
 */
import type { Clock, Logger } from '@aviary/kernel';
import pg from 'pg';
import type { Connect } from './pool.ts';

type Handler = (payload: string | null) => void;

export interface Listener {
  listen(channel: string, handler: Handler): Promise<() => Promise<void>>;
  /** Resolves when the first connection stands; rejects when `close` comes first. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds. A server that hangs is found out after at most PING_EVERY + PING_DEADLINE. */
const PING_EVERY = 1_000;
const PING_DEADLINE = 1_500;
const RETRY_FIRST = 50;
const RETRY_MAX = 1_000;

/** A promise and its ends (Promise.withResolvers came with Node 22). */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Starts connecting at once and keeps at it until `close`. */
export function createListener(
  connect: Connect,
  deps: { clock: Clock; log: Logger; onUp: () => void; onDown: (cause: unknown) => void },
): Listener {
  const { clock, log } = deps;
  const handlers = new Map<string, Set<Handler>>();
  const closing = new AbortController();
  const first = deferred<void>();
  first.promise.catch(() => undefined); // whoever waits for it sees it through ready()
  let client: pg.Client | null = null;

  const tell = (channel: string, payload: string | null) => {
    for (const handler of handlers.get(channel) ?? []) {
      try {
        handler(payload);
      } catch (error) {
        log.error({ err: error, channel }, 'a listener of the database failed');
      }
    }
  };

  /** Resolves when `mine` was lost (true) or when its turn to be pinged has come (false). */
  const pauseOf = (lost: Promise<unknown>) =>
    Promise.race([
      lost.then(() => true),
      clock.sleep(PING_EVERY, closing.signal).then(
        () => false,
        () => false,
      ),
    ]);

  /** One connection's life. Answers whether it was cut after it had stood: then another may well stand. */
  const live = async (): Promise<{ cut: boolean; reason: unknown }> => {
    const mine = new pg.Client({
      ...connect,
      connectionTimeoutMillis: PING_DEADLINE,
      query_timeout: PING_DEADLINE,
      keepAlive: true,
    });
    const lost = deferred<unknown>();
    mine.on('error', (error) => lost.resolve(error));
    mine.on('end', () => lost.resolve(new Error('the connection ended')));
    mine.on('notification', (message) => tell(message.channel, message.payload ?? ''));
    try {
      await mine.connect();
      for (const channel of handlers.keys()) await mine.query(`listen ${channel}`);
      client = mine;
      deps.onUp();
      first.resolve();
      for (const channel of handlers.keys()) tell(channel, null);
      while (!closing.signal.aborted) {
        if (await pauseOf(lost.promise)) return { cut: true, reason: await lost.promise };
        await mine.query('select 1');
      }
      return { cut: false, reason: null };
    } catch (error) {
      return { cut: false, reason: error };
    } finally {
      client = null;
      // a peer that does not answer would keep a polite goodbye waiting
      if (!closing.signal.aborted) mine.connection.stream.destroy();
      await mine
        .end()
        .catch((error: unknown) => log.debug({ err: error }, 'the listening connection was gone'));
    }
  };

  const loop = (async () => {
    let wait = 0;
    while (!closing.signal.aborted) {
      const { cut, reason } = await live();
      if (closing.signal.aborted) break;
      log.debug({ err: reason }, 'the listening connection is gone');
      // it may have been ended alone: try once more before the server counts as away
      if (cut) {
        wait = 0;
        continue;
      }
      deps.onDown(reason);
      wait = Math.min(RETRY_MAX, Math.max(RETRY_FIRST, wait * 2));
      await clock.sleep(wait, closing.signal).catch(() => undefined);
    }
  })();

  return {
    listen: async (channel, handler) => {
      if (!/^[a-z_][a-z0-9_]*$/.test(channel)) throw new Error(`not a channel name: ${channel}`);
      const known = handlers.get(channel);
      if (known !== undefined) known.add(handler);
      else {
        handlers.set(channel, new Set([handler]));
        // when the connection is gone, the next one listens to all channels
        await client
          ?.query(`listen ${channel}`)
          .catch((error: unknown) => log.debug({ err: error }, 'listen again later'));
      }
      return async () => {
        const set = handlers.get(channel);
        set?.delete(handler);
        if (set?.size !== 0) return;
        handlers.delete(channel);
        await client
          ?.query(`unlisten ${channel}`)
          .catch((error: unknown) => log.debug({ err: error }, 'nothing to unlisten'));
      };
    },
    ready: () => first.promise,
    close: async () => {
      closing.abort(new Error('closed'));
      first.reject(new Error('closed'));
      await loop;
    },
  };
}
