/** The front door's own logic: counting, selection, and how start becomes its child. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { satisfies } from 'semver';
import { expect, test } from 'vitest';
import { CHECKS, select } from './lib/areas.mjs';
import { nodeTooOld } from './lib/node.mjs';
import { installCommand, packageOf, SYSTEM_PACKAGES } from './lib/packages.mjs';
import { sum, tallyOf } from './lib/tally.mjs';

const file = (status: string, ...tests: string[]) => ({
  name: 'x.test.ts',
  status,
  assertionResults: tests.map((each) => ({ status: each })),
});

test('every test counts once; skipped ones are neither', () => {
  const report = { testResults: [file('failed', 'passed', 'failed', 'pending'), file('passed', 'passed')] };
  expect(tallyOf(report, 1)).toEqual({ passed: 2, failed: 1, skipped: 1 });
});

test('a file that could not be loaded is a failure', () => {
  expect(tallyOf({ testResults: [file('failed')] }, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('a run that failed outside any test is a failure', () => {
  expect(tallyOf({ testResults: [file('passed', 'passed')] }, 1).failed).toBe(1);
  expect(tallyOf({ testResults: [file('passed', 'passed')] }, null).failed).toBe(1);
});

test('tallies add up', () => {
  const one = { passed: 1, failed: 2, skipped: 3 };
  expect(sum([one, one])).toEqual({ passed: 2, failed: 4, skipped: 6 });
});

test('no argument selects everything, an area its tests, a check itself, a path that path', () => {
  expect(select([])).toEqual({ checks: Object.values(CHECKS), filters: [], tests: true });
  expect(select(['db'])).toEqual({ checks: [], filters: ['packages/db/'], tests: true });
  expect(select(['lint'])).toEqual({ checks: [CHECKS['lint']], filters: [], tests: false });
  expect(select(['src/cpio'])).toEqual({ checks: [], filters: ['src/cpio'], tests: true });
});

test.each([
  ['v20.19.0', true],
  ['v20.18.9', false],
  ['v18.20.0', false],
  ['v22.0.0', true],
])('Node %s is new enough: %s', (version, enough) => {
  expect(nodeTooOld(version) === undefined).toBe(enough);
});

test('every program belongs to one package and every package says why', () => {
  const programs = SYSTEM_PACKAGES.flatMap((entry) => entry.programs);
  expect(new Set(programs).size).toBe(programs.length);
  for (const entry of SYSTEM_PACKAGES) expect(entry.why).toMatch(/^\w/);
  expect(packageOf('qemu-img')).toBe('qemu-utils');
  expect(packageOf('no-such-program')).toBeUndefined();
  expect(installCommand(['a', 'b'])).toContain('apt-get install -y --no-install-recommends a b');
});

/** A process that becomes a child running `script`. */
function becoming(script: string) {
  const lib = new URL('./lib/child.mjs', import.meta.url).href;
  const outer = `import { become } from ${JSON.stringify(lib)};
    become(process.execPath, ['-e', ${JSON.stringify(script)}], '/');`;
  return spawn(process.execPath, ['--input-type=module', '-e', outer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('the exit status of the child is passed on', async () => {
  expect(await once(becoming('process.exit(7)'), 'exit')).toEqual([7, null]);
  expect(await once(becoming("process.kill(process.pid, 'SIGKILL')"), 'exit')).toEqual([137, null]);
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s reaches the child, which drains and decides the status',
  async (signal) => {
    const outer = becoming(
      `process.on(${JSON.stringify(signal)}, () => process.exit(3)); setInterval(() => {}, 1e6); console.log('up');`,
    );
    await once(outer.stdout, 'data');
    const ended = once(outer, 'exit');
    outer.kill(signal);
    expect(await ended).toEqual([3, null]);
  },
);

test('every package runs on the oldest Node we promise', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  const oldest = `${engines.node.replace('>=', '')}.0`;
  expect(nodeTooOld(`v${oldest}`)).toBeUndefined();
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version?: string; engines?: { node?: string } }>;
  };
  const named = Object.entries(packages).filter(([, { engines: of }]) => of?.node !== undefined);
  expect(named.length).toBeGreaterThan(50);
  const wrong = named.filter(([, { engines: of }]) => !satisfies(oldest, of!.node!));
  expect(wrong.map(([path, { version, engines: of }]) => `${path} ${version}: ${of?.node}`)).toEqual([]);
});
