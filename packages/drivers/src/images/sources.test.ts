/** Which mirrors are taken from a machine's apt settings. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { candidate, dependency } from './apt.ts';
import { hostSources, parseAptOptions } from './sources.ts';

let etc: string;
beforeEach(() => {
  etc = mkdtempSync(join(tmpdir(), 'aviary-apt-'));
  mkdirSync(join(etc, 'sources.list.d'));
});
afterEach(() => rmSync(etc, { recursive: true }));

test('both formats are read; other suites, components and disabled stanzas are left out', async () => {
  writeFileSync(
    join(etc, 'sources.list'),
    '# a comment\ndeb [signed-by=/k.gpg] http://mirror.lan/debian bookworm main contrib # here\ndeb-src http://mirror.lan/debian bookworm main\n',
  );
  writeFileSync(
    join(etc, 'sources.list.d', 'debian.sources'),
    'Types: deb\nURIs: https://mirror.lan/security\nSuites: bookworm-security\n trixie\nComponents: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.lan\nSuites: bookworm\nComponents: main\n',
  );
  writeFileSync(join(etc, 'sources.list.d', 'other.list'), 'deb http://vendor.lan/apt nodistro main\n');
  expect(await hostSources('bookworm', etc)).toEqual([
    'deb http://mirror.lan/debian bookworm main',
    'deb https://mirror.lan/security bookworm-security main',
  ]);
});

test('a machine without sources for the suite is told what to add', async () => {
  writeFileSync(join(etc, 'sources.list'), 'deb http://archive.lan/ubuntu noble main\n');
  await expect(hostSources('bookworm', etc)).rejects.toMatchObject({
    code: 'missing_dependency',
    message: expect.stringContaining('deb MIRROR bookworm main'),
  });
});

test('settings for reaching mirrors are taken over, others are not', () => {
  const dump =
    'APT::Architecture amd64\nAcquire::http::Proxy http://proxy.lan:3142\nAcquire::Languages:: en\nAcquire::Check-Valid-Until false\n';
  expect(parseAptOptions(dump)).toEqual([
    'Acquire::http::Proxy "http://proxy.lan:3142"',
    'Acquire::Check-Valid-Until "false"',
  ]);
});

test('apt-cache output: the dependency and its candidate', () => {
  const depends =
    'linux-image-cloud-amd64\n  PreDepends: x\n  Depends: linux-base\n |Depends: linux-image-6.1.0-1\n';
  expect(dependency(depends, 'linux-image-')).toBe('linux-image-6.1.0-1');
  expect(dependency(depends, 'nothing-')).toBeUndefined();
  expect(candidate('p:\n  Installed: (none)\n  Candidate: 6.1.2-1\n')).toBe('6.1.2-1');
  expect(candidate('p:\n  Candidate: (none)\n')).toBeUndefined();
});
