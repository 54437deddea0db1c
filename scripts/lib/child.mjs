/** Runs the one program a script is for, as if it were that program. For start. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { say } from './say.mjs';

/** @type {readonly NodeJS.Signals[]} */
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'];

/**
 * Starts it with our streams, arguments and signals, and ends with its exit status (128+n for a signal).
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} cwd
 */
export function become(program, args, cwd) {
  const child = spawn(program, args, { cwd, stdio: 'inherit' });
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // From a terminal, Ctrl-C reaches the whole group: the child has it already.
      if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    say(`cannot start ${program}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) =>
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
  );
}
