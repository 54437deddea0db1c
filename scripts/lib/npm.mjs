/** Installs the npm packages when they are missing or not those of package-lock.json. For start and test. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { say } from './say.mjs';

/**
 * True when node_modules is that of package-lock.json, installing it first when it is not.
 * @param {string} root The repository.
 * @returns {boolean}
 */
export function ensureNpmPackages(root) {
  const modules = join(root, 'node_modules');
  const stamp = join(modules, '.aviary-stamp');
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return true;
  // On a fresh clone exactly the lock file; into an existing directory, which others may be using, only
  // what differs.
  const fresh = !existsSync(modules);
  say(fresh ? 'installing npm packages (first start only, about a minute)' : 'updating npm packages');
  const npm = process.env['npm_execpath'];
  const [program, ...args] = npm && /\.c?js$/.test(npm) ? [process.execPath, npm] : ['npm'];
  const result = spawnSync(program, [...args, fresh ? 'ci' : 'install', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) {
    const why = result.error ? result.error.message : `exit status ${result.status}`;
    say(`npm could not install the packages (${why}); its messages are above`);
    return false;
  }
  // The lock file again: npm may have completed it.
  const now = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  writeFileSync(stamp, now);
  return true;
}
