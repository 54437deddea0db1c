/**
 * Forward-only migrations, collected from the areas by the composition root. Several replicas may start at
 * once: an advisory lock lets one at a time through, and each finds what the others did.
 */
import { AviaryError } from '@aviary/kernel';
import { sql } from 'kysely';
import type { Executor, Trx } from './schema.ts';

/** One forward-only step. `name` starts with its global number: `0010_identity`. Runs in a transaction of its own. */
export interface Migration {
  name: string;
  up(trx: Trx): Promise<void>;
}

/** Any constant of our own; the lock is held to the end of each migration's transaction. */
const LOCK = 4_712_001;

/**
 * Runs what is missing, in order of name, and answers the names that ran now. Errors: `internal` for two
 * migrations of one number, or when the database knows migrations that this program does not (it is older).
 */
export async function migrate(db: Executor, migrations: readonly Migration[]): Promise<string[]> {
  const ordered = [...migrations].sort((a, b) => (a.name < b.name ? -1 : 1));
  checkNames(ordered);
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
    await sql`create table if not exists migration (
      name text primary key, ran_at timestamptz not null default now())`.execute(trx);
  });
  const ran: string[] = [];
  for (const migration of ordered) {
    const now = await db.transaction().execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
      const known = await sql`select 1 from migration where name = ${migration.name}`.execute(trx);
      if (known.rows.length > 0) return false;
      await migration.up(trx);
      await sql`insert into migration (name) values (${migration.name})`.execute(trx);
      return true;
    });
    if (now) ran.push(migration.name);
  }
  await checkKnown(db, ordered);
  return ran;
}

function checkNames(ordered: readonly Migration[]): void {
  const numbers = new Set<string>();
  for (const { name } of ordered) {
    const number = /^(\d{4})_[a-z0-9_]+$/.exec(name)?.[1];
    if (number === undefined)
      throw new AviaryError('internal', `migration ${name}: name it like 0010_identity`);
    if (numbers.has(number)) throw new AviaryError('internal', `migration ${name}: its number is taken`);
    numbers.add(number);
  }
}

async function checkKnown(db: Executor, ordered: readonly Migration[]): Promise<void> {
  const names = new Set(ordered.map(({ name }) => name));
  const rows = await sql<{ name: string }>`select name from migration order by name`.execute(db);
  const foreign = rows.rows.filter(({ name }) => !names.has(name)).map(({ name }) => name);
  if (foreign.length === 0) return;
  throw new AviaryError(
    'internal',
    `the database was migrated by a newer version of this program (${foreign.join(', ')}): start that one`,
  );
}
