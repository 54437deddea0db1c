/** Documents: what a surface may add, and how those of several surfaces become one. */
import { expect, it } from 'vitest';
import { errors, renderError, renderSocketError } from '../wrenn/errors.ts';
import { type Extension, extendDocument, type OpenApiDocument, operationsOf } from './contract.ts';
import type { MountedRoute } from './mount.ts';
import { mergeDocuments } from './openapi.ts';
import { http, type Surface } from './surface.ts';

const thing = (property: string): OpenApiDocument => ({
  openapi: '3.1.0',
  info: { title: property, version: '1' },
  paths: {
    [`/${property}`]: {
      get: {
        operationId: `get-${property}`,
        responses: {
          '200': {
            description: 'ok',
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } },
          },
        },
      },
      delete: { operationId: `delete-${property}`, responses: { '204': { description: 'gone' } } },
    },
  },
  components: {
    schemas: {
      Thing: { type: 'object', properties: { [property]: { type: 'string' } } },
      Unused: { type: 'null' },
    },
  },
});
const nothing: Extension = { paths: {}, schemas: {}, properties: {}, query: {} };

it('adds and never replaces', () => {
  const extended = extendDocument(thing('a'), {
    ...nothing,
    properties: { Thing: { b: { type: 'integer' } } },
  });
  expect(extended.components.schemas['Thing']?.['properties']).toEqual({
    a: { type: 'string' },
    b: { type: 'integer' },
  });
  const replacing: Partial<Extension>[] = [
    { properties: { Thing: { a: { type: 'integer' } } } },
    { schemas: { Thing: {} } },
    { paths: { '/a': {} } },
  ];
  for (const part of replacing) {
    expect(() => extendDocument(thing('a'), { ...nothing, ...part })).toThrow('is published already');
  }
  expect(() => extendDocument(thing('a'), { ...nothing, properties: { None: {} } })).toThrow(
    'no schema None',
  );
});

it('merges what is served, keeps schemas of one name apart, drops the rest', () => {
  const access = { who: 'anyone', because: 'a test' } as const;
  const declared = http({ access, handle: async () => null });
  const surfaces = ['a', 'b'].map(
    (name): Surface => ({
      name,
      prefix: null,
      document: thing(name),
      operations: {},
      auth: { fromRequest: async () => ({ kind: 'nobody', ip: null }), fromMessage: async () => null },
      errors,
      renderError,
      renderSocketError,
    }),
  );
  const mounted = surfaces.map(
    ({ name, document }): MountedRoute => ({ surface: name, located: operationsOf(document)[0]!, declared }),
  );
  const base: OpenApiDocument = { ...thing('base'), paths: {}, components: { schemas: {} } };
  const merged = mergeDocuments(base, surfaces, mounted);
  expect(operationsOf(merged).map(({ id }) => id)).toEqual(['get-a', 'get-b']);
  expect(Object.keys(merged.components.schemas)).toEqual(['Thing', 'b.Thing']);
  expect(JSON.stringify(merged.paths['/b'])).toContain('#/components/schemas/b.Thing');
});
