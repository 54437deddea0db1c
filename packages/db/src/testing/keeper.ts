/** A process of its own: runs the tests' PostgreSQL until the test run's process is gone, then removes it all. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@aviary/kernel';
import pg from 'pg';
import { supervise } from '../engines/supervise.ts';

const [dir, pid] = [process.argv[2] ?? '', Number(process.argv[3])];

function runIsAlive(): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

try {
  const server = await supervise({
    dataDir: dir,
    clock: systemClock,
    log: silentLogger,
    settings: [
      'fsync=off',
      'full_page_writes=off',
      'synchronous_commit=off',
      'max_connections=300',
      'autovacuum=off',
    ],
  });
  const admin = new pg.Client({ host: server.socketDir, port: 5432, user: 'postgres', database: 'postgres' });
  await admin.connect();
  await admin.query('create role aviary login');
  await admin.end();
  await writeFile(join(dir, 'half'), server.socketDir);
  await rename(join(dir, 'half'), join(dir, 'ready'));
  while (runIsAlive()) await systemClock.sleep(300);
  await server.stop();
  await rm(dir, { recursive: true, force: true });
} catch (error) {
  // the waiting workers show it; the run's end leaves this one small directory behind
  await writeFile(
    join(dir, 'failed'),
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
  process.exitCode = 1;
}
