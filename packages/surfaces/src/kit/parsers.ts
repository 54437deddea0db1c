/** How bodies are read: strict JSON where the contract says JSON, streams for multipart, nothing else. */
import { isUtf8 } from 'node:buffer';
import { AviaryError } from '@aviary/kernel';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parse as parseJson } from 'secure-json-parse';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route's body must be; null when it takes none (what is sent is read and ignored). */
    bodyType?: 'application/json' | 'multipart/form-data' | null;
  }
}

/** Installs the parsers on a surface's scope. */
export function acceptBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, raw, done) => {
    const bytes = raw as Buffer;
    const expected = bodyTypeOf(request);
    if (expected === null || (expected !== undefined && bytes.length === 0)) return done(null, undefined);
    if (expected !== 'application/json') return done(wrongType(expected ?? 'application/json'));
    if (!isUtf8(bytes)) return done(new AviaryError('invalid_request', 'the body is not valid UTF-8'));
    let value: unknown;
    try {
      value = parseJson(bytes.toString('utf8'), { protoAction: 'error', constructorAction: 'error' });
    } catch (error) {
      return done(new AviaryError('invalid_request', 'the body is not valid JSON', { cause: error }));
    }
    done(null, value);
  });
  scope.register(multipart, {
    throwFileSizeLimit: true,
    limits: { fieldNameSize: 100, fieldSize: 8192, fields: 16, files: 1, parts: 17, headerPairs: 100 },
  });
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (request, _bytes, done) => {
    const expected = bodyTypeOf(request);
    if (expected === null || expected === undefined) return done(null, undefined);
    done(wrongType(expected));
  });
}

function bodyTypeOf(request: FastifyRequest): 'application/json' | 'multipart/form-data' | null | undefined {
  return request.routeOptions.config.bodyType;
}

function wrongType(expected: string): AviaryError {
  return new AviaryError('invalid_request', `content-type: send the body as ${expected}`, {
    details: { field: 'content-type' },
  });
}
