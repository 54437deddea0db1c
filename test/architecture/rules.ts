/** The rules of who may import whom, each with its reason. For the architecture test only. */
import { isForTests, isTesting, type Place, placeOf } from './places.ts';
import type { Import, Module } from './scan.ts';

export interface Rule {
  name: string;
  because: string;
  /** What is wrong with this import, as a clause after "it", or undefined. */
  broken: (module: Module, imported: Import, from: Place, to: Place | null) => string | undefined;
}

/** Room -> rooms it may import. What is not named here may import everything (test, bench). */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  db: ['kernel'],
  protocol: ['kernel'],
  domain: ['kernel', 'db', 'protocol'],
  drivers: ['kernel', 'protocol', 'scripts', 'guest'],
  surfaces: ['kernel', 'protocol', 'domain'],
  sdk: ['kernel'],
  'control-plane': ['kernel', 'db', 'protocol', 'domain', 'drivers', 'surfaces', 'guest'],
  agent: ['kernel', 'protocol', 'drivers', 'guest'],
  cli: ['kernel', 'sdk'],
  web: ['sdk'],
  scripts: [],
  guest: ['scripts'],
};

/** Areas of the domain, left to right; those of one row know nothing of each other. */
const AREAS: readonly (readonly string[])[] = [
  ['identity'],
  ['operations'],
  ['events'],
  ['audit'],
  ['hosts'],
  ['capsules', 'vms', 'unikernels', 'apps', 'servers'],
  ['delivery', 'edge', 'providers', 'backups', 'knowledge', 'licensing'],
  ['observability'],
];

/** Parts of the drivers that are tools for drivers, not drivers. */
const DRIVER_TOOLS = new Set(['api', 'native', 'process', 'images', 'guest-link', 'confine']);

/** Outside packages a room must not know; a pattern for the whole specifier. */
const FORBIDDEN: Readonly<Record<string, { pattern: RegExp; because: string }>> = {
  kernel: { pattern: /^(?!node:)[^.@]|^@(?!aviary)/, because: 'the leaf has no dependencies' },
  protocol: { pattern: /^(?!node:)[^.@]|^@(?!aviary)/, because: 'both ends of the wire load it' },
  domain: {
    pattern:
      /^(fastify|@fastify\/|ws$|pg$|dockerode|ssh2|node:(http|https|http2|net|tls|dgram|child_process)$)/,
    because: 'the domain knows neither HTTP nor QEMU nor how its database is reached',
  },
  drivers: {
    pattern: /^(fastify|@fastify\/|kysely|pg$)/,
    because: 'a driver serves no requests and has no database',
  },
  surfaces: {
    pattern: /^(kysely|pg$|node:child_process$|dockerode|ssh2)/,
    because: 'a surface knows neither SQL nor drivers',
  },
};

/** The rank of an area, or -1 for one that is not listed. */
const rank = (area: string) => AREAS.findIndex((row) => row.includes(area));

export const RULES: readonly Rule[] = [
  {
    name: 'rooms',
    because: 'kernel <- db <- domain <- surfaces <- control-plane and kernel <- protocol <- drivers <- agent',
    broken: (module, _imported, from, to) => {
      const allowed = ROOMS[from.room];
      if (to === null || to.room === from.room || allowed === undefined || isForTests(module.path)) return;
      return allowed.includes(to.room) ? undefined : `is in ${from.room}, which may not import ${to.room}`;
    },
  },
  {
    name: 'front doors',
    because: 'a room is used through what its package exports, never through a path into it',
    broken: (_module, imported, from, to) => {
      if (to === null || to.room === from.room || !imported.specifier.startsWith('.')) return;
      // Scripts and the guest are not packages; tests of the whole house look into the apps, which export nothing.
      if (['scripts', 'guest'].includes(to.room) || ['test', 'bench'].includes(from.room)) return;
      return `reaches into ${to.room} by path`;
    },
  },
  {
    name: 'outside packages',
    because: 'what a room must not know, it cannot depend on by accident',
    broken: (module, imported, from) => {
      const forbidden = FORBIDDEN[from.room];
      if (forbidden === undefined || isForTests(module.path) || !forbidden.pattern.test(imported.specifier))
        return;
      return `imports ${imported.specifier}: ${forbidden.because}`;
    },
  },
  {
    name: 'areas of the domain',
    because: 'an area may use those to its left, and only what their index.ts offers',
    broken: (module, imported, from, to) => {
      if (from.room !== 'domain' || to?.room !== 'domain' || from.part === to.part) return;
      if (rank(from.part) < 0)
        return `is in the area ${from.part || '(none)'}, which has no place in the order`;
      if (rank(to.part) < 0)
        return `imports the area ${to.part || '(none)'}, which has no place in the order`;
      if (isForTests(module.path) && isTesting(imported.target ?? '')) return;
      if (!imported.target?.endsWith(`/${to.part}/index.ts`)) return `passes by the index.ts of ${to.part}`;
      if (isForTests(module.path)) return;
      return rank(to.part) < rank(from.part)
        ? undefined
        : `is in ${from.part}, which is not right of ${to.part}`;
    },
  },
  {
    name: 'surfaces',
    because: 'each published API can change or go without the others; what they share is in the kit',
    broken: (module, _imported, from, to) => {
      if (from.room !== 'surfaces' || to?.room !== 'surfaces' || from.part === to.part) return;
      if (to.part === 'kit' || isForTests(module.path)) return;
      return `is in ${from.part} and imports ${to.part}`;
    },
  },
  {
    name: 'drivers',
    because: 'a driver can be left out; what drivers share are tools, used through their index.ts',
    broken: (module, imported, from, to) => {
      if (from.room !== 'drivers' || to?.room !== 'drivers' || from.part === to.part) return;
      if (isForTests(module.path)) return;
      if (!DRIVER_TOOLS.has(to.part)) return `is in ${from.part} and imports the driver ${to.part}`;
      return imported.target?.endsWith('/index.ts') ? undefined : `passes by the index.ts of ${to.part}`;
    },
  },
  {
    name: 'composition root',
    because: 'parts are wired in one place; everything else takes them as arguments',
    broken: (module, _imported, from, to) => {
      if (from.room !== 'control-plane' || to?.room !== 'drivers' || isForTests(module.path)) return;
      return /\/(compose|host)(\.ts$|\/|-)/.test(module.path)
        ? undefined
        : 'wires drivers outside of compose.ts and host.ts';
    },
  },
  {
    name: 'tests',
    because: 'the product runs without its tests',
    broken: (module, imported) => {
      const target = imported.target ?? '';
      if (/\.test\.tsx?$/.test(target)) return `imports the test ${target}`;
      if (imported.specifier === 'vitest' && !isForTests(module.path) && module.path !== 'vitest.config.ts') {
        return 'imports vitest';
      }
      const testing = isTesting(target) || /^@aviary\/.*(^|\/)testing$/.test(imported.specifier);
      return testing && !isForTests(module.path)
        ? `imports help for tests: ${imported.specifier}`
        : undefined;
    },
  },
];

/** Every broken rule as a sentence for the person who broke it. */
export function violations(modules: readonly Module[]): string[] {
  return modules.flatMap((module) =>
    module.imports.flatMap((imported) => {
      const from = placeOf(module.path);
      const to = imported.target === null ? null : placeOf(imported.target);
      return RULES.flatMap((rule) => {
        const clause = rule.broken(module, imported, from, to);
        return clause === undefined ? [] : [`${module.path}: it ${clause} (${rule.name}: ${rule.because})`];
      });
    }),
  );
}
