/** A process of its own for durability tests: opens the database of a directory, says so, and waits to be killed. */
import { silentLogger, systemClock } from '@aviary/kernel';
import { sql } from 'kysely';
import { openDatabase } from '../open.ts';

const database = await openDatabase({
  dataDir: process.argv[2] ?? '',
  log: silentLogger,
  clock: systemClock,
});
await sql`create table if not exists kept (n int)`.execute(database.kysely);
await sql`insert into kept values (1)`.execute(database.kysely);
process.stdout.write('open\n');
process.stdin.resume();
