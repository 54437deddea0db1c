/**
 * `npm test`: the whole suite, or `npm test -- AREA…` (see lib/areas.mjs). Plain Node, because on a fresh
 * clone nothing else is there. The last line is always "N passed, N failed"; the exit status is 0 only when
 * something ran and nothing failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { select } from './lib/areas.mjs';
import { ensureDebianPackages } from './lib/debian.mjs';
import { nodeTooOld } from './lib/node.mjs';
import { ensureNpmPackages } from './lib/npm.mjs';
import { say } from './lib/say.mjs';
import { sum, tallyOf } from './lib/tally.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const FAILED = { passed: 0, failed: 1, skipped: 0 };
const PASSED = { passed: 1, failed: 0, skipped: 0 };

/**
 * Ends with the summary line.
 * @param {readonly import('./lib/tally.mjs').Tally[]} tallies
 * @returns {never}
 */
function finish(tallies) {
  const total = sum(tallies);
  if (total.skipped > 0) console.log(`${total.skipped} skipped`);
  if (total.passed + total.failed === 0) console.log('nothing matched, so nothing ran');
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
}

/**
 * Runs a program of node_modules with our streams; its exit status.
 * @param {string} bin
 * @param {readonly string[]} args
 */
function runModule(bin, args) {
  const path = join(root, 'node_modules', bin);
  return spawnSync(process.execPath, [path, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    .status;
}

/** @param {import('./lib/areas.mjs').Check} wanted */
function check({ says, bin, args }) {
  say(`checking ${says}`);
  return runModule(bin, args) === 0 ? PASSED : FAILED;
}

/**
 * One Vitest project; the JSON report beside the live one is for counting.
 * @param {string} project
 * @param {readonly string[]} filters
 */
function suite(project, filters) {
  say(`running the ${project} tests`);
  const dir = mkdtempSync(join(tmpdir(), 'aviary-test-'));
  try {
    const file = join(dir, 'report.json');
    const status = runModule('vitest/vitest.mjs', [
      'run',
      `--project=${project}`,
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...filters,
    ]);
    return tallyOf(JSON.parse(readFileSync(file, 'utf8')), status);
  } catch (error) {
    say(`the ${project} tests left no report: ${error}`);
    return FAILED;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const tooOld = nodeTooOld(process.version);
if (tooOld !== undefined) {
  say(tooOld);
  finish([FAILED]);
}
if (!ensureNpmPackages(root)) finish([FAILED]);
const missing = ensureDebianPackages(root, ['core', 'guest-network', 'build', 'test']);
if (missing.length > 0) say('going on without them: suites that need them fail and name them');

const { checks, filters, tests } = select(process.argv.slice(2));
const tallies = checks.map(check);
// Machines are booted one after the other, when the processors are free again.
if (tests) tallies.push(suite('unit', filters), suite('system', filters));
finish(tallies);
