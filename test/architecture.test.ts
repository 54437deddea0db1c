/** The tree is the architecture diagram: this test holds the code to it. The rules are in architecture/. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { cycles } from './architecture/cycles.ts';
import { placeOf } from './architecture/places.ts';
import { RULES, violations } from './architecture/rules.ts';
import { type Module, moduleOf, scan } from './architecture/scan.ts';
import { flaws } from './architecture/style.ts';

const modules: Module[] = scan(fileURLToPath(new URL('..', import.meta.url)));

test('the scanner saw the house', () => {
  // Far below what is there: these fail when a folder moves away from under the scanner, not when code goes.
  expect(modules.length).toBeGreaterThan(120);
  expect(modules.flatMap((module) => module.imports).length).toBeGreaterThan(400);
  const rooms = new Set(modules.map((module) => placeOf(module.path).room));
  for (const room of [
    'kernel',
    'db',
    'protocol',
    'domain',
    'drivers',
    'surfaces',
    'control-plane',
    'scripts',
  ]) {
    expect(rooms).toContain(room);
  }
});

test('every import keeps the rules', () => {
  expect(violations(modules)).toEqual([]);
});

test('no module imports itself in a circle', () => {
  expect(cycles(modules)).toEqual([]);
});

test('every file says what it is, and a long one why', () => {
  const paths = new Set(modules.map((module) => module.path));
  expect(modules.flatMap((module) => flaws(module, paths))).toEqual([]);
});

describe('each rule catches what it is for', () => {
  const CASES: readonly (readonly [rule: string, path: string, text: string])[] = [
    ['rooms', 'packages/kernel/src/x.ts', "import { a } from '@aviary/db';"],
    ['rooms', 'packages/domain/src/hosts/x.ts', "export * from '@aviary/drivers/qemu';"],
    ['rooms', 'packages/surfaces/src/wrenn/x.ts', "import type { A } from '@aviary/db';"],
    ['rooms', 'packages/drivers/src/qemu/x.ts', "const a = await import('@aviary/domain/capsules');"],
    ['front doors', 'apps/control-plane/src/x.ts', "import '../../../packages/db/src/pool.ts';"],
    ['outside packages', 'packages/domain/src/hosts/x.ts', "import { spawn } from 'node:child_process';"],
    ['outside packages', 'packages/domain/src/hosts/x.ts', "import fastify from 'fastify';"],
    ['outside packages', 'packages/surfaces/src/wrenn/x.ts', "import {\n  sql,\n} from 'kysely';"],
    ['outside packages', 'packages/kernel/src/x.ts', "import ajv from 'ajv';"],
    ['areas of the domain', 'packages/domain/src/identity/x.ts', "import { a } from '../capsules/index.ts';"],
    ['areas of the domain', 'packages/domain/src/vms/x.ts', "import { a } from '../capsules/index.ts';"],
    ['areas of the domain', 'packages/domain/src/hosts/x.ts', "import { a } from '../identity/store.ts';"],
    ['areas of the domain', 'packages/domain/src/unheard/x.ts', "import { a } from '../identity/index.ts';"],
    ['surfaces', 'packages/surfaces/src/wrenn/x.ts', "import { a } from '../quazzar/index.ts';"],
    ['drivers', 'packages/drivers/src/qemu/x.ts', "import { a } from '../libvirt/index.ts';"],
    ['drivers', 'packages/drivers/src/qemu/x.ts', "import { a } from '../images/cpio.ts';"],
    ['composition root', 'apps/control-plane/src/listen.ts', "import { a } from '@aviary/drivers/qemu';"],
    ['tests', 'packages/db/src/x.ts', "import { a } from './y.test.ts';"],
    ['tests', 'packages/domain/src/hosts/x.ts', "import { a } from '@aviary/db/testing';"],
  ];
  test.each(CASES)('%s: %s', (rule, path, text) => {
    expect(violations([moduleOf(path, text)]).join('\n')).toContain(`(${rule}: `);
  });
  test('no rule is without a case', () => {
    expect(new Set(CASES.map(([rule]) => rule))).toEqual(new Set(RULES.map((rule) => rule.name)));
  });
});

test.each([
  ['packages/domain/src/capsules/steps/x.ts', "import type { A } from '../../operations/index.ts';"],
  ['packages/domain/src/capsules/x.test.ts', "import { a } from '@aviary/db/testing';"],
  ['packages/surfaces/src/wrenn/x.ts', "import { a } from '../kit/index.ts';"],
  ['apps/control-plane/src/compose.ts', "import { a } from '@aviary/drivers/qemu';"],
  ['packages/db/src/x.ts', "// import { a } from '@aviary/domain/hosts'"],
])('keeps the rules: %s %s', (path, text) => {
  expect(violations([moduleOf(path, text)])).toEqual([]);
});

test('a circle is found, also through others; types alone make none', () => {
  const one = moduleOf('packages/db/src/a.ts', "import { b } from './b.ts';");
  const two = moduleOf('packages/db/src/b.ts', "export * from './c.ts';");
  const back = moduleOf('packages/db/src/c.ts', "import { a } from './a.ts';");
  const types = moduleOf('packages/db/src/c.ts', "import type { A } from './a.ts';");
  expect(cycles([one, two, back])).toEqual([
    'packages/db/src/a.ts -> packages/db/src/b.ts -> packages/db/src/c.ts -> packages/db/src/a.ts',
  ]);
  expect(cycles([one, two, types])).toEqual([]);
});

test('a file without a first comment or without a reason for its length is found', () => {
  expect(flaws(moduleOf('x.ts', 'export const a = 1;'))).toHaveLength(1);
  expect(flaws(moduleOf('x.ts', `/** A thing. */\n${'\n'.repeat(400)}`))).toHaveLength(1);
  expect(
    flaws(moduleOf('x.ts', `/** A thing; long, because it is one table. */\n${'\n'.repeat(400)}`)),
  ).toEqual([]);
  expect(flaws(moduleOf('x.test.ts', ''), new Set(['x.ts']))).toEqual([]);
  expect(flaws(moduleOf('x.test.ts', ''))).toHaveLength(1);
  expect(flaws(moduleOf('x.mjs', '#!/usr/bin/env node\n// A thing.\n'))).toEqual([]);
});
