/** The real agent as an ordinary process on this machine, for the tests of guest-link. Needs gcc or the prebuilt agent. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@aviary/kernel';
import type { GuestExec, GuestExit, GuestProcess } from '@aviary/protocol';
import { ensureAgent } from '../../../../guest/build-agent.mjs';
import { connectGuest, type GuestLink } from './guest-link.ts';

export interface TestAgent {
  /** Holds the sockets `ctl` and `bulk`, and is the tests' scratch place. */
  dir: string;
  child: ChildProcess;
  link: GuestLink;
  /** Another connection, as a host that came back would make it; the agent drops the earlier one. */
  reconnect(): Promise<GuestLink>;
  stop(): Promise<void>;
}

/** Starts the agent and connects. */
export async function startTestAgent(): Promise<TestAgent> {
  const binary = join(tmpdir(), 'aviary-test-agent', 'agent');
  await ensureAgent(binary);
  const dir = await mkdtemp(join(tmpdir(), 'guest-'));
  const child = spawn(binary, ['--test', dir], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const open = () =>
    connectGuest({
      ctlPath: join(dir, 'ctl'),
      bulkPath: join(dir, 'bulk'),
      log: silentLogger,
      timeoutMs: 10_000,
    });
  const agent: TestAgent = {
    dir,
    child,
    link: await open(),
    reconnect: open,
    stop: async () => {
      agent.link.close();
      child.kill('SIGKILL');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
  return agent;
}

/** Everything a process said, and how it ended. */
export interface Said {
  stdout: Buffer;
  stderr: Buffer;
  pty: Buffer;
  lost: number;
  exit: GuestExit;
}

/** Reads an attachment to its end. */
export async function collect(process: GuestProcess): Promise<Said> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[], pty: [] as Buffer[] };
  let lost = 0;
  for await (const piece of process.output) {
    parts[piece.stream].push(piece.data);
    lost += piece.lost;
  }
  return {
    stdout: Buffer.concat(parts.stdout),
    stderr: Buffer.concat(parts.stderr),
    pty: Buffer.concat(parts.pty),
    lost,
    exit: await process.exit,
  };
}

/** Runs a command to its end. */
export async function run(
  link: GuestLink,
  argv: string[],
  more: Omit<GuestExec, 'argv'> = {},
): Promise<Said> {
  return collect(await link.exec({ argv, ...more }));
}

/** Runs a shell script to its end. */
export function sh(link: GuestLink, script: string, more: Omit<GuestExec, 'argv'> = {}): Promise<Said> {
  return run(link, ['sh', '-c', script], more);
}

/** Reads until the output of `process` contains `text`; resolves with all that was read. */
export async function readUntil(process: GuestProcess, text: string): Promise<string> {
  let seen = '';
  for await (const piece of process.output) {
    seen += piece.data.toString('latin1');
    if (seen.includes(text)) return seen;
  }
  return seen;
}
