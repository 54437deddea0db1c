/** The supervised PostgreSQL as the product runs it: made, found again, killed in every way, and stopped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAviaryError, silentLogger, systemClock } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from './database.ts';
import { readPid } from './engines/postmaster.ts';
import { openDatabase } from './open.ts';

let dataDir: string;
let opened: Database[] = [];
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'aviary-open-'));
});
afterEach(async () => {
  await Promise.all(opened.map((database) => database.close()));
  opened = [];
  await rm(dataDir, { recursive: true, force: true });
});

const open = async (dir = dataDir) => {
  const database = await openDatabase({ dataDir: dir, log: silentLogger, clock: systemClock });
  opened.push(database);
  return database;
};
const cluster = () => join(dataDir, 'postgres', 'cluster');
const postmaster = async () => (await readPid(cluster()))?.pid ?? 0;
/** Pids of a process and its children, as /proc says. */
const family = async (pid: number) => {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return [pid, ...children.trim().split(' ').filter(Boolean).map(Number)];
};
const kill = (pids: readonly number[], signal: NodeJS.Signals) => {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
};
/** Another process that opens the same directory; resolves when it has opened it, or has ended. */
const launch = async () => {
  const script = fileURLToPath(new URL('./testing/opener.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said += text;
    });
  }
  await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  return { child, said };
};
const until = async (check: () => Promise<boolean>) => {
  const deadline = performance.now() + 15_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('it did not come true within 15 s');
    await systemClock.sleep(10);
  }
};
const count = async (database: Database) =>
  Number((await sql<{ n: number }>`select count(*) as n from kept`.execute(database.kysely)).rows[0]?.n);

describe('a supervised server', () => {
  it('is made, keeps its data, and is gone after close', async () => {
    const first = await open();
    expect(first.engine).toMatchObject({ kind: 'supervised', version: expect.stringMatching(/^1[5-9]/) });
    expect(first.health()).toBe('up');
    await sql`create table kept (n int)`.execute(first.kysely);
    const pid = await postmaster();
    await Promise.all([first.close(), first.close()]);
    expect(await stat(`/proc/${pid}`).catch(() => null)).toBeNull();
    expect(await readPid(cluster())).toBeNull();
    expect(await count(await open())).toBe(0);
  });

  it('listens on no network, runs not as root, and its socket is private', async () => {
    const database = await open();
    const { rows } = await sql<{ listen: string; is_super: boolean }>`select
      current_setting('listen_addresses') as listen,
      (select rolsuper from pg_roles where rolname = current_user) as is_super`.execute(database.kysely);
    expect(rows).toEqual([{ listen: '', is_super: false }]);
    const argv = await readFile(`/proc/${await postmaster()}/cmdline`, 'utf8');
    const socketDir = argv.split('unix_socket_directories=')[1]?.split('\0')[0] ?? '';
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700);
    expect((await stat(cluster())).mode & 0o777).toBe(0o700);
    const status = await readFile(`/proc/${await postmaster()}/status`, 'utf8');
    expect(Number(/^Uid:\t(\d+)/m.exec(status)?.[1])).not.toBe(0);
    expect((await readdir(dataDir)).sort()).toEqual(['postgres']);
  });

  it('has one supervisor: a second living one is refused and breaks nothing', async () => {
    const database = await open();
    await sql`create table kept (n int)`.execute(database.kysely);
    await expect(open()).rejects.toMatchObject({ code: 'conflict' });
    const other = await launch();
    expect(other.said).toContain('conflict');
    expect(await count(database)).toBe(0);
  });

  it('is not started with programs of another version than made the data', async () => {
    await (await open()).close();
    await writeFile(join(cluster(), 'PG_VERSION'), '9\n');
    await expect(open()).rejects.toMatchObject({
      code: 'missing_dependency',
      message: expect.stringContaining('9'),
    });
  });

  it('says why it does not start', async () => {
    await (await open()).close();
    await writeFile(join(cluster(), 'postgresql.conf'), 'no_such_setting = 1\n');
    await expect(open()).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('no_such_setting'),
    });
  });

  it('goes where its user can reach it when the data directory is hidden', async () => {
    if (process.getuid?.() !== 0) return; // only root needs another user for it
    const hidden = join(dataDir, 'hidden');
    await mkdir(hidden);
    await chmod(hidden, 0o700);
    const inner = join(hidden, 'data');
    const database = await open(inner);
    await sql`create table kept (n int)`.execute(database.kysely);
    const home = await readlink(join(inner, 'postgres'));
    expect(home).toMatch(/^\/var\/lib\/aviary-postgres\//);
    await database.close();
    const again = await open(inner);
    expect(await count(again)).toBe(0);
    await again.close();
    await rm(home, { recursive: true });
  });
});

describe('kill -9', () => {
  it('of PostgreSQL in a write loop loses no acknowledged write; meanwhile requests fail with the right code', async () => {
    const database = await open();
    await sql`create table kept (n int)`.execute(database.kysely);
    const acknowledged: number[] = [];
    const failures: unknown[] = [];
    let going = true;
    let next = 0;
    const writer = async () => {
      while (going) {
        const n = next++;
        try {
          await sql`insert into kept values (${n})`.execute(database.kysely);
          acknowledged.push(n);
        } catch (error) {
          failures.push(error);
          await systemClock.sleep(2);
        }
      }
    };
    const writers = Promise.all(Array.from({ length: 4 }, writer));
    for (let round = 0; round < 5; round += 1) {
      const before = acknowledged.length;
      await until(async () => acknowledged.length > before + 100);
      const pid = await postmaster();
      // sometimes the children too, as when the whole machine goes
      kill(round % 2 === 0 ? await family(pid) : [pid], 'SIGKILL');
      await until(async () => ![0, pid].includes(await postmaster()) && database.health() === 'up');
    }
    const before = acknowledged.length;
    await until(async () => acknowledged.length > before + 10);
    going = false;
    await writers;
    const { rows } = await sql<{ n: number }>`select n from kept`.execute(database.kysely);
    const stored = new Set(rows.map(({ n }) => n));
    expect(acknowledged.filter((n) => !stored.has(n))).toEqual([]);
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.filter((error) => !isAviaryError(error, 'database_unavailable'))).toEqual([]);
  }, 60_000);

  it('of us leaves a server that the next start takes the place of, with all that was written', async () => {
    for (let round = 1; round <= 2; round += 1) {
      const { child } = await launch();
      child.kill('SIGKILL');
      await once(child, 'exit');
      const orphan = await postmaster();
      expect(await stat(`/proc/${orphan}`).catch(() => null)).not.toBeNull();
      const database = await open();
      expect(await postmaster()).not.toBe(orphan);
      expect(await count(database)).toBe(round);
      await database.close();
    }
  }, 60_000);

  it('of both leaves a pid file that stops nobody, even when its number was given to somebody else', async () => {
    const database = await open();
    await sql`create table kept (n int)`.execute(database.kysely);
    await database.close();
    await writeFile(
      join(cluster(), 'postmaster.pid'),
      `${process.pid}\n${cluster()}\n0\n5432\n\n\n\nready\n`,
    );
    expect(await count(await open())).toBe(0);
  });
});

it('fails queries within 3 s while PostgreSQL hangs, and goes on when it comes back', async () => {
  const database = await open();
  const frozen = await family(await postmaster());
  kill(frozen, 'SIGSTOP');
  try {
    const asked = performance.now();
    await expect(sql`select 1`.execute(database.kysely)).rejects.toMatchObject({
      code: 'database_unavailable',
    });
    expect(performance.now() - asked).toBeLessThan(8_000);
    expect(database.health()).toBe('down');
    const again = performance.now();
    await expect(sql`select 1`.execute(database.kysely)).rejects.toMatchObject({
      code: 'database_unavailable',
    });
    expect(performance.now() - again).toBeLessThan(2_000);
  } finally {
    kill(frozen, 'SIGCONT');
  }
  await until(async () => database.health() === 'up');
  await sql`select 1`.execute(database.kysely);
}, 30_000);
