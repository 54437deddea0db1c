/** Unknown paths and methods under a surface's prefix, answered in that surface's own form. */
import { AviaryError } from '@aviary/kernel';
import type { FastifyInstance } from 'fastify';
import type { MountedRoute } from './mount.ts';

/** Installs the 404 (and 405 with `Allow`) for everything under the prefix. */
export function refuseUnknown(scope: FastifyInstance, prefix: string, mounted: MountedRoute[]): void {
  const byShape = new Map<string, Set<string>>();
  for (const { located } of mounted) {
    const shape = located.path.replaceAll(/\{\w+\}/g, '*');
    const methods = byShape.get(shape) ?? new Set();
    methods.add(located.method.toUpperCase());
    if (located.method === 'get') methods.add('HEAD');
    byShape.set(shape, methods);
  }
  const allowed = (path: string): string[] => {
    const segments = path.split('/');
    const methods = new Set<string>();
    for (const [shape, some] of byShape) {
      const parts = shape.split('/');
      if (
        parts.length === segments.length &&
        parts.every((p, i) => (p === '*' ? segments[i] : p === segments[i]))
      ) {
        for (const method of some) methods.add(method);
      }
    }
    return [...methods];
  };
  scope.all(
    `${prefix}/*`,
    {
      exposeHeadRoute: false,
      // before the body is read: nobody has to send it to learn that there is nothing here
      onRequest: async (request, reply) => {
        const methods = allowed(request.url.split('?', 1)[0]!);
        // a route of this method that did not match: a part of the path is longer than any that exists
        if (methods.length === 0 || methods.includes(request.method)) {
          throw new AviaryError('not_found', 'no such route; GET /openapi.json lists them');
        }
        reply.header('allow', methods.join(', '));
        throw new AviaryError(
          'method_not_allowed',
          `${request.method} is not possible here; allowed: ${methods.join(', ')}`,
        );
      },
    },
    async () => undefined,
  );
}
