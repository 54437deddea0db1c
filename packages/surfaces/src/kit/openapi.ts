/** One OpenAPI document of everything that is served, merged from the surfaces. For GET /openapi.json. */
import type { OpenApiDocument } from './contract.ts';
import type { MountedRoute } from './mount.ts';
import type { Surface } from './surface.ts';

/**
 * Merges what is really mounted; operations of a contract that are not implemented are left out. Schemas keep
 * their names; a second surface with a schema of the same name gets `<surface>.<name>`.
 */
export function mergeDocuments(
  base: OpenApiDocument,
  surfaces: readonly Surface[],
  mounted: readonly MountedRoute[],
): OpenApiDocument {
  const merged = structuredClone(base);
  for (const surface of surfaces) {
    const served = new Set(mounted.filter((m) => m.surface === surface.name).map((m) => m.located.id));
    const document = renameClashes(surface, merged);
    for (const [path, item] of Object.entries(document.paths)) {
      const kept = Object.entries(item).filter(
        ([key, value]) => key === 'parameters' || served.has((value as { operationId: string }).operationId),
      );
      if (kept.some(([key]) => key !== 'parameters')) {
        merged.paths[path] = { ...merged.paths[path], ...Object.fromEntries(kept) };
      }
    }
    for (const [section, entries] of Object.entries(document.components)) {
      merged.components[section] = {
        ...(merged.components[section] as object | undefined),
        ...(entries as object),
      };
    }
  }
  return prune(merged);
}

/** Leaves out schemas that nothing served refers to. */
function prune(document: OpenApiDocument): OpenApiDocument {
  const used = new Set<string>();
  const visit = (value: unknown) => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        const name =
          key === '$ref' && typeof inner === 'string'
            ? inner.match(/^#\/components\/schemas\/(.+)$/)?.[1]
            : undefined;
        if (name === undefined) visit(inner);
        else if (!used.has(name)) {
          used.add(name);
          visit(document.components.schemas[name]);
        }
      }
    }
  };
  visit(document.paths);
  visit(document.components['responses']);
  document.components.schemas = Object.fromEntries(
    Object.entries(document.components.schemas).filter(([name]) => used.has(name)),
  );
  return document;
}

function renameClashes(surface: Surface, merged: OpenApiDocument): OpenApiDocument {
  const clashes = Object.keys(surface.document.components.schemas).filter((n) =>
    Object.hasOwn(merged.components.schemas, n),
  );
  if (clashes.length === 0) return structuredClone(surface.document);
  let text = JSON.stringify(surface.document);
  for (const name of clashes) {
    text = text.replaceAll(
      `"#/components/schemas/${name}"`,
      `"#/components/schemas/${surface.name}.${name}"`,
    );
  }
  const document = JSON.parse(text) as OpenApiDocument;
  for (const name of clashes) {
    document.components.schemas[`${surface.name}.${name}`] = document.components.schemas[name]!;
    delete document.components.schemas[name];
  }
  return document;
}
