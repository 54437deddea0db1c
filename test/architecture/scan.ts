/** Finds every module of the house and what it imports. For the architecture test only. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix, relative } from 'node:path';

/** A source file. Paths are relative to the repository, with forward slashes. */
export interface Module {
  path: string;
  text: string;
  imports: Import[];
}

export interface Import {
  /** As written: `../x.ts`, `@aviary/kernel`, `fastify`, `node:fs`. */
  specifier: string;
  /** Path of the file it means when that is ours (an `@aviary/` package's is its folder), else null. */
  target: string | null;
  /** `import type` and `export type`: gone at run time. */
  typeOnly: boolean;
}

const ROOTS = ['packages', 'apps', 'scripts', 'guest', 'test', 'bench'];
const NOT_OURS = new Set(['node_modules', 'dist', '.cache', 'prebuilt']);

/** Every .ts, .tsx and .mjs file below the roots. */
export function scan(repository: string): Module[] {
  return ROOTS.flatMap((root) => sourceFiles(`${repository}/${root}`)).map((file) => {
    const path = relative(repository, file);
    return moduleOf(path, readFileSync(file, 'utf8'));
  });
}

/** One module from its text; tests of the rules make theirs with it. */
export function moduleOf(path: string, text: string): Module {
  const imports = importsOf(text).map((each) => ({ ...each, target: target(path, each.specifier) }));
  return { path, text, imports };
}

/** Static imports, re-exports, side-effect imports, and dynamic imports of a literal. */
function importsOf(text: string): Omit<Import, 'target'>[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^\s*(?:import|export)\b(?<names>[^'"`;]*?)\bfrom\s*(['"])(?<specifier>[^'"]+)\2/gm,
    /^\s*import\s*(['"])(?<specifier>[^'"]+)\1/gm,
    /\bimport\(\s*(['"])(?<specifier>[^'"]+)\1/g,
  ];
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(({ groups }) => ({
      specifier: groups?.['specifier'] ?? '',
      typeOnly: /^\s+type\b/.test(groups?.['names'] ?? ''),
    })),
  );
}

function target(from: string, specifier: string): string | null {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(from), specifier);
  const [, name, below] = /^@aviary\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? [];
  if (name === undefined) return null;
  return `packages/${name}/src/${below === undefined ? '' : `${below}/`}index.ts`;
}

function sourceFiles(dir: string): string[] {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { withFileTypes: true });
  return entries.flatMap((entry) => {
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : sourceFiles(`${dir}/${entry.name}`);
    return /\.(tsx?|mjs)$/.test(entry.name) && !entry.name.endsWith('.d.ts') ? [`${dir}/${entry.name}`] : [];
  });
}
