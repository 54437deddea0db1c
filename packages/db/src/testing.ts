/**
 * Databases for tests: one private PostgreSQL per test run (fsync off, in the temporary directory, gone with
 * the run even after a crash), one migrated template per set of migrations, one clone of it per call.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Logger, silentLogger, systemClock } from '@aviary/kernel';
import pg from 'pg';
import type { Database } from './database.ts';
import { type Migration, migrate } from './migrate.ts';
import { connectTo } from './open.ts';
import { testServer } from './testing/server.ts';

export interface TestDatabase extends Database {
  /** Its name on the test server. */
  readonly name: string;
  /** For programs under test: AVIARY_DATABASE_URL of this database. */
  readonly url: string;
  /** Another connection pool to the same database, as a second replica has. Closed with the first. */
  replica(): Promise<Database>;
}

/** A database with these migrations, its own for the caller. `close` drops it. */
export async function createTestDatabase(
  migrations: readonly Migration[],
  options: { log?: Logger; poolSize?: number } = {},
): Promise<TestDatabase> {
  const socketDir = await testServer();
  const template = await ensureTemplate(socketDir, migrations);
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(socketDir, (admin) =>
    admin.query(`create database ${name} template ${template} owner aviary`),
  );
  const open = () =>
    connectTo(
      { host: socketDir, port: 5432, user: 'aviary', database: name },
      { log: options.log ?? silentLogger, clock: systemClock, poolSize: options.poolSize ?? 8 },
      null,
    );
  const first = await open();
  const replicas: Database[] = [];
  return {
    ...first,
    name,
    url: `postgres://aviary@/${name}?host=${encodeURIComponent(socketDir)}`,
    replica: async () => {
      const made = await open();
      replicas.push(made);
      return made;
    },
    close: async () => {
      await Promise.all([first, ...replicas].map((database) => database.close()));
      await asAdmin(socketDir, (admin) => admin.query(`drop database if exists ${name} with (force)`));
    },
  };
}

/** The migrated template of this set of migrations; made by whoever comes first. */
async function ensureTemplate(socketDir: string, migrations: readonly Migration[]): Promise<string> {
  const digest = createHash('sha256');
  for (const { name, up } of migrations) digest.update(`${name}\0${up.toString()}\0`);
  const name = `template_${digest.digest('hex').slice(0, 16)}`;
  await asAdmin(socketDir, async (admin) => {
    await admin.query('select pg_advisory_lock(1)');
    const found = await admin.query('select 1 from pg_database where datname = $1', [name]);
    if (found.rowCount !== 0) return;
    const half = `${name}_half`;
    await admin.query(`drop database if exists ${half}`);
    await admin.query(`create database ${half} owner aviary`);
    const database = await connectTo(
      { host: socketDir, port: 5432, user: 'aviary', database: half },
      { log: silentLogger, clock: systemClock, poolSize: 1 },
      null,
    );
    try {
      await migrate(database.kysely, migrations);
    } finally {
      await database.close();
    }
    await admin.query(`alter database ${half} rename to ${name}`);
  });
  return name;
}

async function asAdmin<T>(socketDir: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ host: socketDir, port: 5432, user: 'postgres', database: 'postgres' });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
