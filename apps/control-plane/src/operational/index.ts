/** Health, metrics and documentation as a surface of their own: no credentials, no objects. For the composition. */
import { AviaryError } from '@aviary/kernel';
import { defineSurface, http, isLocal, type OpenApiDocument, type Surface } from '@aviary/surfaces/kit';
import type { Metrics } from '../metrics.ts';
import { DOCS_CSP, docsFile, docsPage } from './docs.ts';
import { OPERATIONAL_DOCUMENT } from './document.ts';

export interface OperationalDeps extends Pick<Surface, 'errors' | 'renderError' | 'renderSocketError'> {
  metrics: Metrics;
  /** Answer them to everybody, not only to this machine. */
  metricsPublic: boolean;
  /** Null when all is well, else what is wrong, as a sentence. */
  ailment(): string | null;
  /** Complete only after every surface is mounted. */
  document(): OpenApiDocument;
}

const open = (because: string) => ({ who: 'anyone', because }) as const;

/** The surface of operational routes. */
export function createOperationalSurface(deps: OperationalDeps): Surface {
  const { metrics, metricsPublic, ailment, document, errors, renderError, renderSocketError } = deps;
  return defineSurface({
    name: 'operations',
    prefix: null,
    document: OPERATIONAL_DOCUMENT,
    auth: {
      fromRequest: async (request) => ({ kind: 'nobody', ip: request.ip }),
      fromMessage: async () => null,
    },
    errors,
    renderError,
    renderSocketError,
    operations: {
      start: http({
        access: open('it only points to the documentation'),
        handle: async ({ reply }) => reply.redirect('/docs', 302),
      }),
      health: http({
        access: open('probes have no credential; it says nothing about anybody'),
        handle: async ({ reply }) => {
          const wrong = ailment();
          reply.code(wrong === null ? 200 : 503);
          return wrong === null ? { status: 'ok' } : { status: 'degraded', waits_for: wrong };
        },
      }),
      metrics: http({
        access: open('Prometheus scrapes it on this machine; numbers only, no names of objects'),
        handle: async ({ request, reply }) => {
          if (!metricsPublic && !isLocal(request)) {
            throw new AviaryError(
              'forbidden',
              'metrics are for programs of this machine; AVIARY_METRICS_PUBLIC=yes opens them to all',
            );
          }
          const { type, text } = await metrics.render();
          return reply.type(type).send(text);
        },
      }),
      openapi: http({
        access: open('the published interface'),
        handle: async () => document(),
      }),
      docs: http({
        access: open('the published interface, for people'),
        handle: async ({ reply }) =>
          reply.header('content-security-policy', DOCS_CSP).type(docsPage.type).send(docsPage.body),
      }),
      docsFile: http({
        access: open('parts of the documentation page'),
        handle: async ({ params, reply }) => {
          const { type, body } = await docsFile(params['file']!);
          return reply.header('cache-control', 'max-age=3600').type(type).send(body);
        },
      }),
    },
  });
}
