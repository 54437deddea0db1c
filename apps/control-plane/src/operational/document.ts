/** The control plane's own routes as an OpenAPI document; the surfaces are merged into it. Data only. */
import type { OpenApiDocument } from '@aviary/surfaces/kit';

const get = (operationId: string, summary: string, type: string, statuses: Record<string, string>) => ({
  operationId,
  summary,
  tags: ['operations'],
  security: [],
  responses: Object.fromEntries(
    Object.entries(statuses).map(([status, description]) => [
      status,
      {
        description,
        content: {
          [type]: { schema: type === 'application/json' ? { type: 'object' } : { type: 'string' } },
        },
      },
    ]),
  ),
});

export const OPERATIONAL_DOCUMENT: OpenApiDocument = {
  openapi: '3.1.0',
  info: {
    title: 'Aviary',
    version: '0.1.0',
    description:
      'Everything this instance serves. Sign up with `POST /v1/auth/signup`, make a key with `POST /v1/api-keys`, ' +
      'then press **Authorize**: the token goes into `bearerAuth`, the key into `apiKeyAuth`.',
  },
  servers: [{ url: '/' }],
  // the order of the page
  tags: [
    { name: 'auth', description: 'Accounts and sessions' },
    { name: 'api-keys', description: 'Credentials of a team for programs' },
    { name: 'users', description: 'People' },
    { name: 'teams', description: 'Who shares capsules, and in which role' },
    { name: 'capsules', description: 'MicroVMs: life cycle, commands, processes, terminals, files' },
    { name: 'snapshots', description: 'Templates that capsules are made from' },
    { name: 'operations', description: 'Health, metrics and this document' },
  ],
  paths: {
    '/': { get: get('start', 'To the documentation', 'text/html', { '302': 'To /docs' }) },
    '/healthz': {
      get: get('health', 'Ready to serve', 'application/json', {
        '200': 'Ready',
        '503': 'Not ready; the body says what is waited for',
      }),
    },
    '/metrics': {
      get: get('metrics', 'Numbers for Prometheus', 'text/plain', {
        '200': 'Text exposition format',
        '403': 'Not from this machine, and AVIARY_METRICS_PUBLIC is not set',
      }),
    },
    '/openapi.json': { get: get('openapi', 'This document', 'application/json', { '200': 'OpenAPI 3.1' }) },
    '/docs': { get: get('docs', 'This document for people', 'text/html', { '200': 'A page' }) },
    '/docs/{file}': {
      parameters: [{ name: 'file', in: 'path', required: true, schema: { type: 'string' } }],
      get: get('docsFile', 'Parts of the page', 'text/plain', { '200': 'A file', '404': 'No such file' }),
    },
  },
  components: { schemas: {} },
};
