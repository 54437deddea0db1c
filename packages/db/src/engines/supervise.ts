/**
 * The private PostgreSQL: made at the first start, kept running while we run, stopped with us. Listens on a
 * unix socket only. Used by `open.ts` and `testing.ts`.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@aviary/kernel';
import { findBinaries } from './binaries.ts';
import { claim } from './claim.ts';
import { clusterMajor, makeCluster } from './cluster.ts';
import { type Layout, prepareLayout } from './layout.ts';
import { endOrphan, type Postmaster, startPostmaster } from './postmaster.ts';
import { chooseRunAs, type RunAs } from './run-as.ts';

export interface SupervisedServer {
  /** Directory of its socket; port 5432, superuser `postgres`. */
  readonly socketDir: string;
  readonly version: string;
  /** Stops it (fast shutdown) and no longer restarts it. Idempotent. */
  stop(): Promise<void>;
}

/** Milliseconds between restarts of a server that keeps ending. */
const BACKOFF_FIRST = 50;
const BACKOFF_MAX = 5_000;

export interface SuperviseOptions {
  dataDir: string;
  clock: Clock;
  log: Logger;
  /** Settings such as `fsync=off`; tests only. */
  settings?: readonly string[];
}

/**
 * Starts the server of `dataDir`, taking the place of an orphaned one. Errors: missing_dependency (no
 * programs, or none of the version that made the data), conflict (another living process supervises it),
 * database_unavailable (it does not start; the message has the end of its log).
 */
export async function supervise(options: SuperviseOptions): Promise<SupervisedServer> {
  const user = await chooseRunAs();
  const layout = await prepareLayout(options.dataDir, user);
  const unclaim = await claim(join(layout.home, 'supervisor'));
  const leave = async () => {
    await rm(layout.socketDir, { recursive: true, force: true });
    await unclaim();
  };
  try {
    return await run(options, user, layout, leave);
  } catch (error) {
    await leave();
    throw error;
  }
}

async function run(
  options: SuperviseOptions,
  user: RunAs,
  layout: Layout,
  leave: () => Promise<void>,
): Promise<SupervisedServer> {
  const { clock, log } = options;
  const major = await clusterMajor(layout.cluster);
  const binaries = await findBinaries(major, user, layout.cacheDir, log);
  if (major === null) await makeCluster(binaries, layout, user);
  if (await endOrphan(layout.cluster, clock))
    log.warn({}, 'ended a PostgreSQL that had outlived its supervisor');

  const stopping = new AbortController();
  const start = () => startPostmaster(binaries, layout, user, options.settings ?? [], clock);
  // children of a killed server need a moment to notice and to let go of its shared memory
  const persist = async (patienceMs: number): Promise<Postmaster | null> => {
    const giveUp = clock.monotonicMs() + patienceMs;
    for (let wait = BACKOFF_FIRST; ; wait = Math.min(BACKOFF_MAX, wait * 2)) {
      try {
        return await start();
      } catch (error) {
        if (stopping.signal.aborted) return null;
        if (clock.monotonicMs() > giveUp) throw error;
        log.warn({ err: error, againInMs: wait }, 'PostgreSQL did not start');
        await clock.sleep(wait, stopping.signal).catch(() => undefined);
      }
    }
  };

  let current = await persist(2_000);
  const watch = (async () => {
    while (current !== null) {
      const how = await current.exited;
      if (stopping.signal.aborted) return;
      log.error({ how }, 'PostgreSQL is gone: starting it again');
      current = await persist(Number.POSITIVE_INFINITY);
      // we were told to stop while it was starting
      if (stopping.signal.aborted) return current?.stop();
    }
  })();

  return {
    socketDir: layout.socketDir,
    version: binaries.version,
    stop: async () => {
      stopping.abort();
      await current?.stop();
      await watch;
      await leave();
    },
  };
}
