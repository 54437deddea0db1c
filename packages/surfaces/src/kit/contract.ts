/** A published OpenAPI 3.1 document and what the kit needs of it. Read once at start, by each surface. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export type JsonSchema = { [keyword: string]: unknown };

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header' | 'cookie';
  required?: boolean;
  description?: string;
  schema?: JsonSchema;
}

export interface ContractOperation {
  operationId: string;
  summary?: string;
  description?: string;
  tags?: string[];
  security?: unknown[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema?: JsonSchema }> };
  responses: Record<string, { description?: string; $ref?: string; content?: Record<string, unknown> }>;
}

type PathItem = { parameters?: Parameter[] } & { [method in Method]?: ContractOperation };

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
const METHODS: readonly Method[] = ['get', 'post', 'put', 'patch', 'delete'];

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string; description?: string };
  servers?: unknown[];
  security?: unknown[];
  tags?: { name: string; description?: string }[];
  paths: Record<string, PathItem>;
  components: { schemas: Record<string, JsonSchema>; [section: string]: unknown };
}

/** One operation with its place in the document. `pointer` is the JSON pointer to it (RFC 6901). */
export interface LocatedOperation {
  id: string;
  method: Method;
  path: string;
  pointer: string;
  /** Of the path and of the operation. */
  parameters: Parameter[];
  operation: ContractOperation;
}

/** Reads a document from a YAML or JSON file. */
export function readDocument(file: URL): OpenApiDocument {
  return parse(readFileSync(file, 'utf8')) as OpenApiDocument;
}

/** Every operation of the document, in its order. */
export function operationsOf(document: OpenApiDocument): LocatedOperation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      if (operation === undefined) return [];
      const pointer = `/paths/${escapePointer(path)}/${method}`;
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
      return [{ id: operation.operationId, method, path, pointer, parameters, operation }];
    }),
  );
}

/** One reference token of a JSON pointer (RFC 6901 section 3). */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** What a surface adds to its published document: whole paths, and properties of schemas. Never changes one. */
export interface Extension {
  paths: Record<string, PathItem>;
  /** Schema name -> added properties. */
  properties: Record<string, Record<string, JsonSchema>>;
  /** New schemas. */
  schemas: Record<string, JsonSchema>;
  /** operationId -> added query parameters. */
  query: Record<string, Parameter[]>;
}

/** The document with the additions. Throws when an addition would replace something published. */
export function extendDocument(published: OpenApiDocument, extension: Extension): OpenApiDocument {
  const document = structuredClone(published);
  const add = <T>(target: Record<string, T>, key: string, value: T, what: string) => {
    if (Object.hasOwn(target, key)) throw new Error(`${what} ${key} is published already`);
    target[key] = value;
  };
  for (const [path, item] of Object.entries(extension.paths)) add(document.paths, path, item, 'path');
  for (const [name, schema] of Object.entries(extension.schemas)) {
    add(document.components.schemas, name, schema, 'schema');
  }
  for (const [name, properties] of Object.entries(extension.properties)) {
    const schema = document.components.schemas[name];
    if (schema === undefined) throw new Error(`no schema ${name} to extend`);
    const target = { ...(schema['properties'] as Record<string, JsonSchema> | undefined) };
    schema['properties'] = target;
    for (const [key, value] of Object.entries(properties)) add(target, key, value, `${name}.`);
  }
  for (const { id, operation } of operationsOf(document)) {
    const more = extension.query[id];
    if (more !== undefined) operation.parameters = [...(operation.parameters ?? []), ...more];
  }
  return document;
}
