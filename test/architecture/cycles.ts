/** Finds modules that import each other in a circle. For the architecture test only. */
import type { Module } from './scan.ts';

/**
 * Circles of imports, each as a path that ends where it began. Imports of types alone are gone at run time and
 * do not count; `import { type A, b }` counts for b.
 */
export function cycles(modules: readonly Module[]): string[] {
  const imports = new Map(modules.map((module) => [module.path, module.imports]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(' -> '));
    if (start >= 0 || done.has(path)) return;
    for (const { target, typeOnly } of imports.get(path) ?? []) {
      if (target !== null && !typeOnly) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const module of modules) visit(module.path, []);
  return found;
}
