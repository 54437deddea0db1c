/**
 * A contract made strict for tests: objects admit only what they declare and must have all of it. The
 * published document leaves both open, so a misspelt or missing field would pass it unnoticed.
 */
import type { JsonSchema, OpenApiDocument } from '@aviary/surfaces/kit';

/** Properties that are there only sometimes: `Schema.property`. */
const SOMETIMES = new Set(['APIKeyResponse.key', 'ExecResponse.error']);

/** A strict copy. */
export function closeSchemas(document: OpenApiDocument): OpenApiDocument {
  const copy = structuredClone(document);
  const schemas = copy.components.schemas;
  for (const [name, schema] of Object.entries(schemas)) schemas[name] = flatten(schema, schemas);
  for (const [name, schema] of Object.entries(schemas)) close(schema, name);
  for (const item of Object.values(copy.paths)) {
    for (const operation of Object.values(item)) {
      for (const response of Object.values((operation as { responses?: object }).responses ?? {})) {
        const content = (response as { content?: Record<string, { schema?: JsonSchema }> }).content ?? {};
        for (const { schema } of Object.values(content)) if (schema !== undefined) close(schema, '');
      }
    }
  }
  return copy;
}

/** `allOf` of objects as one object: closing its parts one by one would refuse each other's properties. */
function flatten(schema: JsonSchema, schemas: Record<string, JsonSchema>): JsonSchema {
  const parts = schema['allOf'] as JsonSchema[] | undefined;
  if (parts === undefined) return schema;
  const properties = parts.map((part) => {
    const name = (part['$ref'] as string | undefined)?.split('/').at(-1);
    return (name === undefined ? part : schemas[name]!)['properties'] as Record<string, JsonSchema>;
  });
  return { type: 'object', properties: Object.assign({}, ...properties) };
}

function close(schema: JsonSchema, name: string): void {
  const properties = schema['properties'] as Record<string, JsonSchema> | undefined;
  if (properties !== undefined) {
    schema['additionalProperties'] = false;
    schema['required'] = Object.keys(properties).filter((key) => !SOMETIMES.has(`${name}.${key}`));
    for (const [key, inner] of Object.entries(properties)) close(inner, `${name}.${key}`);
  }
  if (schema['items'] !== undefined) close(schema['items'] as JsonSchema, `${name}[]`);
}
