/** The test databases themselves: clones of one template, independent of each other. */
import { sql } from 'kysely';
import { afterAll, expect, it } from 'vitest';
import type { Migration } from './migrate.ts';
import { createTestDatabase, type TestDatabase } from './testing.ts';

const migrations: Migration[] = [
  {
    name: '0001_bird',
    up: async (trx) => {
      await sql`create table bird (name text primary key)`.execute(trx);
    },
  },
];
const opened: TestDatabase[] = [];
const open = async () => {
  const database = await createTestDatabase(migrations);
  opened.push(database);
  return database;
};

afterAll(async () => {
  await Promise.all(opened.map((database) => database.close()));
});

it('gives every caller a database of its own', async () => {
  const [one, two] = [await open(), await open()];
  await sql`insert into bird values ('owl')`.execute(one.kysely);
  expect((await sql`select * from bird`.execute(one.kysely)).rows).toEqual([{ name: 'owl' }]);
  expect((await sql`select * from bird`.execute(two.kysely)).rows).toEqual([]);
});

it('lets a replica see the same data', async () => {
  const one = await open();
  const replica = await one.replica();
  await sql`insert into bird values ('jay')`.execute(one.kysely);
  expect((await sql`select * from bird`.execute(replica.kysely)).rows).toEqual([{ name: 'jay' }]);
});
