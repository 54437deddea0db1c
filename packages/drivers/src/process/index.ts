/** Runs other programs: argv only, never a shell. For drivers. */
import { execFile } from 'node:child_process';
import { AviaryError } from '@aviary/kernel';

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Ends the program after so many milliseconds; default 60,000. */
  timeoutMs?: number;
  /** Written to its stdin. */
  input?: string;
}

/** What a program printed. */
export interface RunResult {
  stdout: string;
  stderr: string;
}

/**
 * Runs `file` with `args` to its end. Errors: missing_dependency when there is no such program, otherwise
 * `internal` with its exit status and the last lines it printed.
 */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      [...args],
      {
        cwd: options.cwd,
        env: options.env ?? process.env,
        timeout: options.timeoutMs ?? 60_000,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        if (!error) resolve({ stdout, stderr });
        else reject(describe(file, args, error, `${stderr}${stdout}`));
      },
    );
    child.stdin?.on('error', () => undefined); // a program may end before it has read its input
    child.stdin?.end(options.input ?? '');
  });
}

function describe(
  file: string,
  args: readonly string[],
  error: Error & { code?: unknown },
  printed: string,
): AviaryError {
  if (error.code === 'ENOENT') {
    return new AviaryError('missing_dependency', `${file} is not installed`, {
      details: { program: file },
      cause: error,
    });
  }
  const tail = printed.trim().split('\n').slice(-6).join('\n');
  const what = `${file} ${args.slice(0, 3).join(' ')}`.trim();
  return new AviaryError('internal', `${what} failed (${String(error.code ?? error.message)}): ${tail}`, {
    cause: error,
  });
}
