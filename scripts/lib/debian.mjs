/** Checks for the Debian packages we need, and installs them when this is root. For start and test. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installCommand, SYSTEM_PACKAGES } from './packages.mjs';
import { say } from './say.mjs';

const DPKG_STATUS = '/var/lib/dpkg/status';

// biome-ignore lint/suspicious/noTemplateCurlyInString: the fields are dpkg-query's.
const FORMAT = '${Package} ${db:Status-Status}\n';

/**
 * Names of the packages of `groups` that are still missing at the end; says what it does and what to do.
 * @param {string} root The repository.
 * @param {readonly string[]} groups
 * @returns {string[]}
 */
export function ensureDebianPackages(root, groups) {
  const wanted = SYSTEM_PACKAGES.filter((entry) => groups.includes(entry.group)).map((entry) => entry.name);
  const changed = statSync(DPKG_STATUS, { throwIfNoEntry: false })?.mtimeMs;
  if (changed === undefined) {
    say(`this is not Debian; Aviary needs the equivalents of: ${wanted.join(' ')}`);
    return [];
  }
  const stamp = join(root, '.cache', 'debian-packages.stamp');
  const key = `${changed} ${wanted.join(' ')}`;
  if (readStamp(stamp) === key) return [];
  let missing = missingOf(wanted);
  if (missing.length > 0) {
    explain(missing);
    if (process.getuid?.() !== 0) {
      say(`to install them: ${installCommand(missing)}`);
      return missing;
    }
    install(missing);
    missing = missingOf(wanted);
    if (missing.length > 0) say(`still missing: ${missing.join(' ')}; see apt's messages above`);
  }
  if (missing.length === 0) {
    mkdirSync(join(root, '.cache'), { recursive: true });
    writeFileSync(stamp, `${statSync(DPKG_STATUS).mtimeMs} ${wanted.join(' ')}`);
  }
  return missing;
}

/** @param {readonly string[]} names */
function missingOf(names) {
  const result = spawnSync('dpkg-query', ['--show', '--showformat', FORMAT, ...names], {
    encoding: 'utf8',
  });
  const installed = new Set(
    (result.stdout ?? '')
      .split('\n')
      .flatMap((line) => (line.endsWith(' installed') ? [line.split(' ')[0]] : [])),
  );
  return names.filter((name) => !installed.has(name));
}

/** @param {readonly string[]} missing */
function explain(missing) {
  say('these Debian packages are missing:');
  for (const entry of SYSTEM_PACKAGES.filter(({ name }) => missing.includes(name))) {
    say(`  ${entry.name.padEnd(18)} ${entry.why}`);
  }
}

/** @param {readonly string[]} names */
function install(names) {
  /** @param {string[]} args */
  const apt = (...args) => {
    say(`apt-get ${args.join(' ')}`);
    return spawnSync('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', ...args], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  };
  // One broken source of the machine's many is no reason not to try.
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...names);
}

/** @param {string} path */
function readStamp(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
