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
  return {
    path,
    text,
    imports: specifiers(text).map((specifier) => ({ specifier, target: target(path, specifier) })),
  };
}

/** Static imports, re-exports, side-effect imports, and dynamic imports of a literal. */
function specifiers(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])([^'"]+)\1/gm,
    /^\s*import\s*(['"])([^'"]+)\1/gm,
    /\bimport\(\s*(['"])([^'"]+)\1/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[2] ?? ''));
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
