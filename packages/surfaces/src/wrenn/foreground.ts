/** A command that is waited for: output up to a limit, a timeout that ends its whole tree. For exec. */
import { isUtf8 } from 'node:buffer';
import { type Clock, isAviaryError } from '@aviary/kernel';
import type { Guest, GuestExec, GuestProcess } from '@aviary/protocol';
import { incompleteTail } from '../kit/index.ts';

/** Bytes kept per stream; what comes after is read and dropped so that the command can end. */
export const OUTPUT_LIMIT = 16 * 1024 * 1024;
/** Exit code of a command that its timeout ended, as coreutils' timeout(1). */
export const TIMED_OUT_CODE = 124;
/** How long a killed tree may take to be gone before its end is no longer waited for, ms. */
const KILL_GRACE_MS = 5000;

export interface ForegroundResult {
  stdout: string;
  stderr: string;
  encoding: 'utf-8' | 'base64';
  exitCode: number;
  durationMs: number;
  timedOut: boolean;
  truncated: boolean;
}

/**
 * Runs it to its end. `gone` (the caller left) kills it: nobody could read what it still writes.
 * Errors: those of Guest.exec, capsule_lost.
 */
export async function runForeground(
  guest: Guest,
  request: GuestExec,
  {
    stdin,
    timeoutSec,
    gone,
    clock,
  }: { stdin: string | undefined; timeoutSec: number; gone: AbortSignal; clock: Clock },
): Promise<ForegroundResult> {
  const started = clock.monotonicMs();
  const process = await guest.exec(stdin === undefined ? request : { ...request, stdin: true });
  const ended = new AbortController();
  const kill = () => guest.kill(String(process.pid), 'SIGKILL').catch(ignoreEnded);
  gone.addEventListener('abort', kill, { signal: ended.signal });
  if (gone.aborted) void kill();

  const stdout = collector();
  const stderr = collector();
  const run = (async () => {
    for await (const { stream, data } of process.output) (stream === 'stderr' ? stderr : stdout).add(data);
    return (await process.exit).code;
  })();
  if (stdin !== undefined) void feed(process, stdin);
  try {
    const late = clock.sleep(timeoutSec * 1000, ended.signal).then(() => null);
    late.catch(() => undefined);
    let code = await Promise.race([run, late]);
    const timedOut = code === null;
    if (code === null) {
      await kill();
      const grace = clock.sleep(KILL_GRACE_MS, ended.signal).then(() => null);
      grace.catch(() => undefined);
      await Promise.race([run, grace]);
      code = TIMED_OUT_CODE;
    }
    return {
      ...encode(stdout, stderr),
      exitCode: code,
      durationMs: Math.round(clock.monotonicMs() - started),
      timedOut,
      truncated: stdout.truncated() || stderr.truncated(),
    };
  } finally {
    ended.abort();
    process.detach();
    run.catch(() => undefined);
  }
}

/** A command need not read its input: that it ended first is no failure of the exec. */
async function feed(process: GuestProcess, stdin: string): Promise<void> {
  try {
    if (stdin !== '') await process.write(Buffer.from(stdin));
    await process.closeStdin();
  } catch {
    // the exit (or the loss of the capsule) is reported by the process itself
  }
}

/** The process, or the capsule with it, may end between the decision to kill and the kill. */
function ignoreEnded(error: unknown): void {
  if (!isAviaryError(error, 'process_not_found', 'capsule_lost', 'capsule_not_running')) throw error;
}

interface Collector {
  add(chunk: Buffer): void;
  bytes(): Buffer;
  truncated(): boolean;
}

function collector(): Collector {
  const chunks: Buffer[] = [];
  let size = 0;
  let cut = false;
  return {
    add: (chunk) => {
      const room = OUTPUT_LIMIT - size;
      if (chunk.length > room) cut = true;
      if (room <= 0) return;
      const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
      chunks.push(kept);
      size += kept.length;
    },
    bytes: () => {
      const all = Buffer.concat(chunks);
      // a limit in the middle of a character does not make the text binary
      return cut ? all.subarray(0, all.length - incompleteTail(all)) : all;
    },
    truncated: () => cut,
  };
}

function encode(
  stdout: Collector,
  stderr: Collector,
): Pick<ForegroundResult, 'stdout' | 'stderr' | 'encoding'> {
  const out = stdout.bytes();
  const err = stderr.bytes();
  const text = isUtf8(out) && isUtf8(err);
  const format = text ? 'utf8' : 'base64';
  return { stdout: out.toString(format), stderr: err.toString(format), encoding: text ? 'utf-8' : 'base64' };
}
