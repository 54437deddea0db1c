/** Connections of an ordinary database: listening across losses, errors, transactions, migrations. */
import { silentLogger, systemClock } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isUniqueViolation } from './errors.ts';
import { type Migration, migrate } from './migrate.ts';
import { openDatabase } from './open.ts';
import { createTestDatabase, type TestDatabase } from './testing.ts';
import { transaction } from './transaction.ts';

let db: TestDatabase;
beforeEach(async () => {
  db = await createTestDatabase([]);
});
afterEach(() => db.close());

const until = async (check: () => boolean) => {
  const deadline = performance.now() + 10_000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error('it did not come true within 10 s');
    await systemClock.sleep(5);
  }
};
const make = (name: string, statement = `create table t${name.slice(0, 4)} (n int)`): Migration => ({
  name,
  up: async (trx) => {
    await sql.raw(statement).execute(trx);
  },
});

describe('an external server', () => {
  it('is reached by its URL and outlives us', async () => {
    const options = { url: db.url, dataDir: '/nonexistent', log: silentLogger, clock: systemClock };
    const database = await openDatabase(options);
    expect(database.engine.kind).toBe('external');
    await database.close();
    await sql`select 1`.execute(db.kysely);
  });

  it('that is not there is said at once', async () => {
    const url = 'postgres://nobody@127.0.0.1:1/none';
    const opening = openDatabase({ url, dataDir: '/nonexistent', log: silentLogger, clock: systemClock });
    await expect(opening).rejects.toMatchObject({ code: 'database_unavailable' });
  });
});

describe('listening', () => {
  it('brings payloads to every handler until it ends', async () => {
    const got: (string | null)[] = [];
    const end = await db.listen('birds', (payload) => got.push(payload));
    const also = await db.listen('birds', () => {
      throw new Error('mine');
    });
    await sql`select pg_notify('birds', 'owl')`.execute(db.kysely);
    await until(() => got.length === 1);
    expect(got).toEqual(['owl']);
    await end();
    const marker: (string | null)[] = [];
    await db.listen('marks', (payload) => marker.push(payload));
    await sql`select pg_notify('birds', 'jay'), pg_notify('marks', 'x')`.execute(db.kysely);
    await until(() => marker.length === 1);
    expect(got).toEqual(['owl']);
    await also();
  });

  it('goes on after all connections were cut, says so with null, and queries go on too', async () => {
    const got: (string | null)[] = [];
    await db.listen('birds', (payload) => got.push(payload));
    const replica = await db.replica();
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = ${db.name} and pid <> pg_backend_pid()`.execute(replica.kysely);
    await until(() => got.includes(null));
    await sql`select pg_notify('birds', 'owl')`.execute(replica.kysely);
    await until(() => got.includes('owl'));
    await sql`select 1`.execute(db.kysely);
    expect(db.health()).toBe('up');
  });
});

describe('errors', () => {
  it('leave unique violations recognisable, by constraint', async () => {
    await sql`create table nest (n int constraint one_nest unique)`.execute(db.kysely);
    await sql`insert into nest values (1)`.execute(db.kysely);
    const error = await sql`insert into nest values (1)`.execute(db.kysely).catch((e: unknown) => e);
    expect(isUniqueViolation(error)).toBe(true);
    expect(isUniqueViolation(error, 'one_nest')).toBe(true);
    expect(isUniqueViolation(error, 'another')).toBe(false);
    expect(isUniqueViolation(new Error('x'))).toBe(false);
  });

  it('repeat a transaction that lost a deadlock', async () => {
    await sql`create table pair (id int primary key, n int)`.execute(db.kysely);
    await sql`insert into pair values (1, 0), (2, 0)`.execute(db.kysely);
    let tries = 0;
    let both: () => void = () => undefined;
    let here = 0;
    const met = new Promise<void>((resolve) => {
      both = resolve;
    });
    const bump = (first: number, second: number) =>
      transaction(db.kysely, async (trx) => {
        tries += 1;
        await sql`update pair set n = n + 1 where id = ${first}`.execute(trx);
        here += 1;
        if (here >= 2) both();
        await met;
        await sql`update pair set n = n + 1 where id = ${second}`.execute(trx);
      });
    await Promise.all([bump(1, 2), bump(2, 1)]);
    expect(tries).toBeGreaterThan(2);
    expect((await sql`select n from pair order by id`.execute(db.kysely)).rows).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('of the caller roll back and are not repeated', async () => {
    await sql`create table nest (n int)`.execute(db.kysely);
    let tries = 0;
    const failing = transaction(db.kysely, async (trx) => {
      tries += 1;
      await sql`insert into nest values (1)`.execute(trx);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(tries).toBe(1);
    expect((await sql`select * from nest`.execute(db.kysely)).rows).toEqual([]);
  });
});

describe('migrations', () => {
  it('run in order of name, once', async () => {
    const list = [
      make('0002_b', 'create table b as select * from a'),
      make('0001_a', 'create table a (n int)'),
    ];
    expect(await migrate(db.kysely, list)).toEqual(['0001_a', '0002_b']);
    expect(await migrate(db.kysely, list)).toEqual([]);
    expect(await migrate(db.kysely, [...list, make('0003_c')])).toEqual(['0003_c']);
  });

  it('run once between them when several replicas start at once', async () => {
    const list = ['0001_a', '0002_b', '0003_c', '0004_d'].map((name) => make(name));
    const replicas = await Promise.all([db.replica(), db.replica(), db.replica()]);
    const ran = await Promise.all(replicas.map(({ kysely }) => migrate(kysely, list)));
    expect(ran.flat().sort()).toEqual(['0001_a', '0002_b', '0003_c', '0004_d']);
  });

  it('leave what was before a failing one, and nothing of it', async () => {
    const bad = make('0002_b', 'create table t0002 (n int); select no_such_thing');
    await expect(migrate(db.kysely, [make('0001_a'), bad])).rejects.toThrow('no_such_thing');
    expect(await migrate(db.kysely, [make('0001_a'), make('0002_b')])).toEqual(['0002_b']);
  });

  it.each([
    [[make('0001_a'), make('0001_b')], 'taken'],
    [[make('1_a')], 'name it'],
  ])('are refused with a bad or double number', async (list, why) => {
    await expect(migrate(db.kysely, list)).rejects.toThrow(why);
  });

  it('of a newer program are not worked around', async () => {
    await migrate(db.kysely, [make('0001_a'), make('0002_b')]);
    await expect(migrate(db.kysely, [make('0001_a')])).rejects.toThrow('0002_b');
  });
});
