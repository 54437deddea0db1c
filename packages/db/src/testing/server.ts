/**
 * The test run's PostgreSQL. Test files run in several workers; the first one that asks starts a keeper
 * process, the others wait for it. The keeper ends with the run, however the run ends. Used by `testing.ts`.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { systemClock } from '@aviary/kernel';

/** The process whose end is the end of the run: ours, or our parent's when we are a forked worker. */
function runPid(): number {
  return isMainThread && process.env['VITEST_POOL_ID'] !== undefined ? process.ppid : process.pid;
}

let asked: Promise<string> | null = null;

/** Directory of the server's socket; superuser `postgres`, owner of the test databases `aviary`. */
export function testServer(): Promise<string> {
  asked ??= ask();
  return asked;
}

async function ask(): Promise<string> {
  const pid = runPid();
  const dir = join(tmpdir(), `aviary-test-postgres-${pid}`);
  const first = await mkdir(dir, { mode: 0o711 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (first) {
    const keeper = fileURLToPath(new URL('./keeper.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', keeper, dir, String(pid)], {
      stdio: 'ignore',
      detached: true,
    });
    child.unref();
  }
  for (let waited = 0; waited < 60_000; waited += 20) {
    const failed = await readFile(join(dir, 'failed'), 'utf8').catch(() => null);
    if (failed !== null) throw new Error(`the test PostgreSQL did not start: ${failed}`);
    const ready = await readFile(join(dir, 'ready'), 'utf8').catch(() => null);
    if (ready !== null) return ready;
    await systemClock.sleep(20);
  }
  throw new Error('the test PostgreSQL did not start within 60 s');
}
