/** Rules about a file by itself. For the architecture test only. */
import type { Module } from './scan.ts';

/** A longer file says at its top why. */
const LONG = 400;

/** What is wrong with the file's form, as sentences. `paths`: every file there is. */
export function flaws(module: Module, paths: ReadonlySet<string> = new Set()): string[] {
  const found: string[] = [];
  const head = firstComment(module.text);
  // x.test.ts beside x.ts says what it is by its name.
  const named = module.path.includes('.test.') && paths.has(module.path.replace('.test.', '.'));
  if (head === undefined && !named)
    found.push(`${module.path}: it does not start with a comment that says what it is`);
  const lines = module.text.split('\n').length;
  if (lines > LONG && !/\blong\b/i.test(head ?? '')) {
    found.push(
      `${module.path}: it has ${lines} lines, more than ${LONG}, and its first comment does not say why it is so long`,
    );
  }
  return found;
}

/** The comment a file starts with (after a #! line and directives of the linter), or undefined. */
export function firstComment(text: string): string | undefined {
  const start = text.replace(/^#!.*\n/, '').replace(/^(\s*\/\/ biome-ignore.*\n)+/, '');
  return /^\s*(\/\*\*?[\s\S]*?\*\/|(?:\/\/.*\n)+)/.exec(start)?.[1];
}
