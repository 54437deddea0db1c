/** Opens the database: engine, pool, listener. The composition root uses it. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { Database, OpenDatabaseOptions } from './database.ts';
import { type SupervisedServer, supervise } from './engines/supervise.ts';
import { translate } from './errors.ts';
import { createListener } from './listener.ts';
import { type Connect, createPool } from './pool.ts';
import type { Schema } from './schema.ts';

/**
 * Opens (and if need be makes and starts) PostgreSQL. Errors: missing_dependency, conflict (another process
 * supervises this data directory), database_unavailable.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { log, clock } = options;
  if (options.url !== undefined) {
    const connect: Connect = { connectionString: options.url, application_name: 'aviary' };
    return connectTo(connect, options, null);
  }
  const server = await supervise({ dataDir: options.dataDir, clock, log });
  try {
    await ensureDatabase(server.socketDir);
    const connect: Connect = {
      host: server.socketDir,
      port: 5432,
      user: 'aviary',
      database: 'aviary',
      application_name: 'aviary',
    };
    return await connectTo(connect, options, server);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** The product connects as an ordinary role that owns its database; only this function is the superuser. */
async function ensureDatabase(socketDir: string): Promise<void> {
  const admin = new pg.Client({ host: socketDir, port: 5432, user: 'postgres', database: 'postgres' });
  try {
    await admin.connect();
    const role = await admin.query(`select 1 from pg_roles where rolname = 'aviary'`);
    if (role.rowCount === 0) await admin.query('create role aviary login');
    const database = await admin.query(`select 1 from pg_database where datname = 'aviary'`);
    if (database.rowCount === 0) await admin.query('create database aviary owner aviary');
  } catch (error) {
    throw translate(error, '');
  } finally {
    await admin.end();
  }
}

/** The same for a server that runs already (external, or the tests'); `server` is stopped by `close`. */
export async function connectTo(
  connect: Connect,
  options: Pick<OpenDatabaseOptions, 'log' | 'clock' | 'poolSize'>,
  server: Pick<SupervisedServer, 'stop'> | null,
): Promise<Database> {
  const { log, clock } = options;
  const pool = createPool(connect, options.poolSize ?? 16, log, server !== null);
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  let health: 'up' | 'down' = 'down';
  const listener = createListener(connect, {
    clock,
    log,
    onUp: () => {
      if (health === 'down') log.info({}, 'PostgreSQL answers');
      health = 'up';
      pool.open();
    },
    onDown: (cause) => {
      if (health === 'up') log.error({ err: cause }, 'PostgreSQL does not answer');
      health = 'down';
      pool.shut(cause);
    },
  });
  let closing: Promise<void> | null = null;
  const close = async () => {
    await listener.close();
    await pool.end();
    await server?.stop();
  };
  try {
    // the first query says why when the server cannot be reached; the listener would go on trying for ever
    const asked = await sql<{ server_version: string }>`show server_version`.execute(kysely);
    await listener.ready();
    return {
      kysely,
      engine: {
        kind: server === null ? 'external' : 'supervised',
        version: asked.rows[0]?.server_version.split(' ')[0] ?? '',
      },
      listen: (channel, handler) => listener.listen(channel, handler),
      health: () => health,
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    await listener.close();
    await pool.end();
    throw error;
  }
}
