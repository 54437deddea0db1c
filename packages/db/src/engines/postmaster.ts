/**
 * One running PostgreSQL server: start, wait until it takes connections, stop; and what is left of a previous
 * one. Formats: postmaster.pid as in PostgreSQL's src/include/utils/pidfile.h (line 1 pid, line 8 status).
 * Used by `supervise.ts` only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError, type Clock } from '@aviary/kernel';
import type { Binaries } from './binaries.ts';
import type { Layout } from './layout.ts';
import type { RunAs } from './run-as.ts';

/** Milliseconds. */
const START_DEADLINE = 60_000;
const STOP_DEADLINE = 20_000;
const POLL = 10;

/** Settings of every supervised server; `extra` (tests: fsync off) comes last. */
function settings(layout: Layout, major: number, extra: readonly string[]): string[] {
  const all = [
    'listen_addresses=',
    `unix_socket_directories=${layout.socketDir}`,
    'unix_socket_permissions=0700',
    'port=5432',
    'max_connections=60',
    'shared_buffers=64MB',
    'max_wal_size=256MB',
    'jit=off',
    'huge_pages=off',
    'log_min_messages=warning',
    'timezone=UTC',
    'log_timezone=UTC',
    // no three extra processes for reads that the page cache serves anyway
    ...(major >= 18 ? ['io_method=sync'] : []),
    ...extra,
  ];
  return all.flatMap((setting) => ['-c', setting]);
}

export interface Postmaster {
  /** Resolves when the server is gone, with how it went. */
  readonly exited: Promise<string>;
  /** Fast shutdown; harder ones when that takes too long. */
  stop(): Promise<void>;
}

/** Starts the server and waits until it is ready. Error: database_unavailable with the end of its log. */
export async function startPostmaster(
  binaries: Binaries,
  layout: Layout,
  user: RunAs,
  extra: readonly string[],
  clock: Clock,
): Promise<Postmaster> {
  const logPath = join(layout.home, 'server.log');
  const log = await open(logPath, 'w', 0o600);
  let child: ChildProcess;
  let exited: Promise<string>;
  try {
    child = spawn(
      join(binaries.bin, 'postgres'),
      ['-D', layout.cluster, ...settings(layout, binaries.major, extra)],
      {
        stdio: ['ignore', log.fd, log.fd],
        cwd: layout.home,
        // a session of its own: Ctrl-C in our terminal must not stop it before we have drained
        detached: true,
        env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
        ...(user.other ? { uid: user.uid, gid: user.gid } : {}),
      },
    );
    // before anything is awaited: a server that cannot start is gone within milliseconds
    exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `ended with code ${code}` : `ended by ${signal}`),
      );
    });
  } finally {
    await log.close();
  }
  let over = false;
  exited.then(() => {
    over = true;
  });
  const stop = async () => {
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
      if (over) return;
      child.kill(signal);
      const patience = new AbortController();
      await Promise.race([exited, clock.sleep(STOP_DEADLINE, patience.signal).catch(() => undefined)]);
      patience.abort();
    }
    await exited;
  };
  const deadline = clock.monotonicMs() + START_DEADLINE;
  for (;;) {
    const note = await readPid(layout.cluster);
    if (note?.pid === child.pid && note?.ready) return { exited, stop };
    if (over || clock.monotonicMs() > deadline) {
      const how = over ? await exited : 'did not become ready';
      await stop();
      const tail = (await readFile(logPath, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join(' | ');
      throw new AviaryError('database_unavailable', `PostgreSQL ${how}. The end of ${logPath}: ${tail}`);
    }
    await clock.sleep(POLL);
  }
}

/** What postmaster.pid says, null when there is none. */
export async function readPid(cluster: string): Promise<{ pid: number; ready: boolean } | null> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n');
  return { pid: Number(lines[0]), ready: lines[7]?.trim() === 'ready' };
}

/** True when process `pid` is a PostgreSQL server of this cluster and not a stranger that got its number. */
async function isServerOf(pid: number, cluster: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const argv = command.split('\0');
  return argv[0]?.endsWith('postgres') === true && argv.includes(cluster);
}

/**
 * Ends a server that outlived its supervisor (`kill -9` of ours). Stopping it costs milliseconds and leaves
 * us a child of our own, which is simpler to watch than an adopted process. Error: database_unavailable.
 */
export async function endOrphan(cluster: string, clock: Clock): Promise<boolean> {
  const note = await readPid(cluster);
  if (note === null || !(await isServerOf(note.pid, cluster))) return false;
  const deadline = clock.monotonicMs() + STOP_DEADLINE;
  signal(note.pid, 'SIGINT');
  while (await isServerOf(note.pid, cluster)) {
    if (clock.monotonicMs() > deadline) {
      throw new AviaryError(
        'database_unavailable',
        `an earlier PostgreSQL (pid ${note.pid}) does not stop: end it`,
      );
    }
    await clock.sleep(POLL);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
