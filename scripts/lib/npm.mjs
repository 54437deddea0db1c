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
  say(
    existsSync(modules)
      ? 'updating npm packages'
      : 'installing npm packages (first start only, about a minute)',
  );
  const npm = process.env['npm_execpath'];
  const [program, ...args] = npm && /\.c?js$/.test(npm) ? [process.execPath, npm] : ['npm'];
  // Not `npm ci`: it deletes node_modules under whoever is using it, and refuses a lock file that was made where
  // the registry lacks the optional packages of other platforms. Not saved: the lock file is the maintainers'.
  const result = spawnSync(program, [...args, 'install', '--no-save', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) {
    const why = result.error ? result.error.message : `exit status ${result.status}`;
    say(`npm could not install the packages (${why}); its messages are above`);
    return false;
  }
  writeFileSync(stamp, wanted);
  return true;
}
