/**
 * The connections that queries use: `pg`'s pool, with failures translated once and a switch that fails
 * everything at once while the server is away. Used by `open.ts` only.
 */
import type { Logger } from '@aviary/kernel';
import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import pg from 'pg';
import { translate, unavailable } from './errors.ts';

/** How to connect, for pool and listener alike. */
export type Connect = pg.ClientConfig;

export interface GuardedPool extends PostgresPool {
  /** Fails what waits and what runs, and everything after it until `open`. */
  shut(cause: unknown): void;
  /** Lets queries through again. */
  open(): void;
}

/** int8 as a number: no counter or size of ours comes near 2^53. Everything else as `pg` has it. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === pg.types.builtins.INT8 && format !== ('binary' as string)
      ? Number
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Statements that a connection keeps prepared at most; more texts than these are rare ones. */
const PREPARED_MAX = 200;

/**
 * A pool of at most `max` connections. With `prepare` each keeps its statements prepared, which saves parsing
 * and planning; not for a server behind a pooler, where a session is not ours to keep.
 */
export function createPool(connect: Connect, max: number, log: Logger, prepare: boolean): GuardedPool {
  const pool = new pg.Pool({
    ...connect,
    types,
    max,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 60_000,
    idle_in_transaction_session_timeout: 60_000,
  });
  const wrapped = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  const raw = new Set<pg.PoolClient>();
  const waiting = new Set<(cause: unknown) => void>();
  let down: { cause: unknown } | null = null;

  pool.on('connect', (client) => {
    raw.add(client);
    // a client that is checked out reports its loss through its query; without a listener Node would exit
    client.on('error', (error) => log.debug({ err: error }, 'a database connection was lost'));
  });
  pool.on('remove', (client) => raw.delete(client));
  pool.on('error', (error) => log.debug({ err: error }, 'an idle database connection was lost'));

  /** One wrapper per client, because Kysely recognises a connection by its object. */
  const wrap = (client: pg.PoolClient): PostgresPoolClient => {
    const known = wrapped.get(client);
    if (known !== undefined) return known;
    let broken = false;
    const prepared = new Map<string, string>();
    /** Name of the prepared statement for this text, undefined when it is to be sent as it is. */
    const nameOf = (sql: string, parameters: readonly unknown[]): string | undefined => {
      if (!prepare || parameters.length === 0) return undefined;
      const known = prepared.get(sql);
      if (known !== undefined || prepared.size >= PREPARED_MAX) return known;
      const name = `s${prepared.size}`;
      prepared.set(sql, name);
      return name;
    };
    const query = async <R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> => {
      try {
        const name = nameOf(sql, parameters);
        const order = { text: sql, values: [...parameters], ...(name !== undefined && { name }) };
        return (await client.query(order)) as unknown as PostgresQueryResult<R>;
      } catch (error) {
        const meant = translate(error, sql);
        if (meant !== error) broken = true;
        throw meant;
      }
    };
    const made: PostgresPoolClient = {
      query: query as PostgresPoolClient['query'],
      release: () => client.release(broken),
    };
    wrapped.set(client, made);
    return made;
  };

  return {
    connect: () =>
      new Promise((resolve, reject) => {
        if (down !== null) return reject(unavailable(down.cause));
        let settled = false;
        const fail = (cause: unknown) => {
          settled = true;
          waiting.delete(fail);
          reject(unavailable(cause));
        };
        waiting.add(fail);
        pool.connect().then(
          (client) => {
            waiting.delete(fail);
            if (settled) client.release();
            else resolve(wrap(client));
          },
          (error) => {
            waiting.delete(fail);
            if (!settled) reject(translate(error, ''));
          },
        );
      }),
    end: () => pool.end(),
    shut: (cause) => {
      down = { cause };
      for (const fail of [...waiting]) fail(cause);
      for (const client of raw) client.connection.stream.destroy();
    },
    open: () => {
      down = null;
    },
  };
}
