/** The areas `npm test -- AREA` knows. For test; anything else is taken as a part of a path. */

/** @typedef {{ says: string, bin: string, args: readonly string[] }} Check A program of node_modules. */

/**
 * Area -> parts of the paths of its test files.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const AREAS = {
  kernel: ['packages/kernel/'],
  protocol: ['packages/protocol/'],
  db: ['packages/db/'],
  domain: ['packages/domain/'],
  drivers: ['packages/drivers/'],
  images: ['packages/drivers/src/images/'],
  surfaces: ['packages/surfaces/'],
  guest: ['guest/', 'packages/drivers/src/guest-link/'],
  'control-plane': ['apps/control-plane/'],
  architecture: ['test/architecture'],
  contract: ['test/contract/'],
  scripts: ['scripts/'],
  // Everything that boots machines or runs the whole product.
  e2e: ['.e2e.test.ts', 'test/'],
};

/**
 * Checks without a test file; each counts as one.
 * @type {Readonly<Record<string, Check>>}
 */
export const CHECKS = {
  typecheck: { says: 'types', bin: 'typescript/bin/tsc', args: ['-p', '.'] },
  lint: { says: 'lint and format', bin: '@biomejs/biome/bin/biome', args: ['check', '.'] },
  knip: { says: 'unused files, exports and packages', bin: 'knip/bin/knip.js', args: [] },
};

/**
 * What the arguments of `npm test` select: checks and filters of paths (empty: all).
 * @param {readonly string[]} args
 * @returns {{ checks: Check[], filters: string[], tests: boolean }}
 */
export function select(args) {
  if (args.length === 0) return { checks: Object.values(CHECKS), filters: [], tests: true };
  const checks = args.flatMap((arg) => CHECKS[arg] ?? []);
  const filters = args.filter((arg) => !Object.hasOwn(CHECKS, arg)).flatMap((arg) => AREAS[arg] ?? [arg]);
  return { checks, filters, tests: filters.length > 0 };
}
