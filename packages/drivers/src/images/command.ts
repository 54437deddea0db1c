/**
 * Runs a host program to its end. Used by the image builder only: these programs take seconds to minutes
 * and print a lot, so their output is read line by line (for progress) and only its tail is kept.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { AviaryError } from '@aviary/kernel';
import { missingPrograms, notInstalled, searchPath } from './programs.ts';

export interface CommandOptions {
  /** What is being attempted, for the error's sentence: "cannot <what>: …". */
  what: string;
  cwd?: string;
  /** Added to this process's environment. */
  env?: Readonly<Record<string, string>>;
  /** Sees each line of standard error as it comes. */
  onLine?: (line: string) => void;
  signal?: AbortSignal;
}

/** Lines of output an error quotes: enough for the reason, not the whole log. */
const TAIL = 12;

/**
 * Runs `argv` (never a shell) and resolves with its standard output.
 * Errors: missing_dependency when the program does not exist, naming the package; host_unavailable when it
 * fails, quoting its last lines.
 */
export function run(argv: readonly [string, ...string[]], options: CommandOptions): Promise<string> {
  const [program, ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: {
        ...process.env,
        PATH: searchPath(),
        // Progress and errors are parsed and quoted, whatever the operator's language.
        LC_ALL: 'C.UTF-8',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: options.signal,
    });
    const output: Buffer[] = [];
    const tail: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.trim() !== '') tail.push(line);
      if (tail.length > TAIL) tail.shift();
      options.onLine?.(line);
    });
    child.once('error', (error) => reject(startFailure(program, options.what, error)));
    child.once('close', (code, signal) => {
      const text = Buffer.concat(output).toString('utf8');
      if (code === 0) return resolve(text);
      const last = tail.length > 0 ? tail : text.trimEnd().split('\n').slice(-TAIL);
      const how = code === null ? `ended by ${signal}` : `exit status ${code}`;
      reject(
        new AviaryError(
          'host_unavailable',
          `cannot ${options.what}: ${program}: ${how}\n${last.join('\n')}`,
          {
            details: { program, code, signal },
          },
        ),
      );
    });
  });
}

/** Why `program` did not start. Not told by the code alone: a directory of PATH we may not enter gives EACCES. */
function startFailure(program: string, what: string, cause: NodeJS.ErrnoException): AviaryError {
  if (missingPrograms([program]).length > 0) return notInstalled(what, [program], cause);
  return new AviaryError('host_unavailable', `cannot ${what}: ${program} does not start: ${cause.message}`, {
    cause,
  });
}
