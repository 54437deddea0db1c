/**
 * A lock between processes of one machine, for the image cache. The kernel's own (flock(2)), so it is free
 * again the moment its holder dies, however it dies. Node has no flock; util-linux's program holds it for us.
 */
import { spawn } from 'node:child_process';
import { AviaryError } from '@aviary/kernel';
import { requirePrograms, searchPath } from './programs.ts';

/**
 * Waits for the lock on `path` (created when missing) and resolves with the function that frees it.
 * `flock FILE cat` runs cat once the lock is held: our byte coming back says so, and closing cat's input,
 * also by our own death, ends it.
 * Errors: missing_dependency without util-linux, host_unavailable when the file cannot be locked.
 */
export async function acquireLock(path: string, onWait?: () => void): Promise<() => Promise<void>> {
  requirePrograms(`lock ${path}`, ['flock']);
  return new Promise((resolve, reject) => {
    const child = spawn('flock', ['--exclusive', path, 'cat'], {
      env: { ...process.env, PATH: searchPath() },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    const waiting = setTimeout(() => onWait?.(), 500);
    child.once('error', (cause) => {
      clearTimeout(waiting);
      reject(new AviaryError('host_unavailable', `cannot lock ${path}: ${cause.message}`, { cause }));
    });
    child.once('close', (code) => {
      clearTimeout(waiting);
      reject(new AviaryError('host_unavailable', `cannot lock ${path}: flock ended with status ${code}`));
    });
    // EPIPE when flock could not start or open the file: 'close' reports that better.
    child.stdin.on('error', () => undefined);
    child.stdin.write('.');
    child.stdout.once('data', () => {
      clearTimeout(waiting);
      resolve(() => {
        child.stdin.end();
        return ended;
      });
    });
  });
}
