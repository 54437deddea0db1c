/** What Aviary adds to the published wrenn contract: data for the document and the checks. Never a change. */
import type { ContractOperation, Extension, JsonSchema } from '../kit/index.ts';

const error = (description: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
});
const json = (description: string, schema: JsonSchema) => ({
  description,
  content: { 'application/json': { schema } },
});
const body = (schema: JsonSchema) => ({ required: true, content: { 'application/json': { schema } } });
const capsuleId = [{ name: 'id', in: 'path' as const, required: true, schema: { type: 'string' } }];
const capsule: JsonSchema = { $ref: '#/components/schemas/Capsule' };
const texts = (description: string): JsonSchema => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  description,
});

const forkCapsule: ContractOperation = {
  operationId: 'forkCapsule',
  summary: 'Fork a running capsule',
  description:
    'New running capsules with the memory, processes and disk of this one, which goes on running. All or none.',
  tags: ['capsules'],
  security: [{ apiKeyAuth: [] }],
  requestBody: { ...body({ $ref: '#/components/schemas/ForkRequest' }), required: false },
  responses: {
    '201': json('The new capsules', { type: 'array', items: capsule }),
    '400': error('Count out of bounds'),
    '404': error('Capsule not found'),
    '409': error('Capsule not running'),
    '503': error('Not enough room; the message says what is free'),
  },
};

const setCapsuleTimeout: ContractOperation = {
  operationId: 'setCapsuleTimeout',
  summary: 'Change the inactivity timeout',
  tags: ['capsules'],
  security: [{ apiKeyAuth: [] }],
  requestBody: body({ $ref: '#/components/schemas/SetTimeoutRequest' }),
  responses: {
    '200': json('The capsule with its new timeout', capsule),
    '400': error('Timeout out of bounds'),
    '404': error('Capsule not found'),
  },
};

export const extension: Extension = {
  paths: {
    '/v1/capsules/{id}/fork': { parameters: capsuleId, post: forkCapsule },
    '/v1/capsules/{id}/timeout': { parameters: capsuleId, put: setCapsuleTimeout },
  },
  schemas: {
    ForkRequest: {
      type: 'object',
      properties: { count: { type: 'integer', minimum: 1, maximum: 64, default: 1 } },
    },
    SetTimeoutRequest: {
      type: 'object',
      required: ['timeout_sec'],
      properties: {
        timeout_sec: { type: 'integer', description: 'Seconds without activity; 0 means no auto-pause' },
      },
    },
  },
  properties: {
    CreateCapsuleRequest: {
      envs: texts('Environment of every command in the capsule'),
      metadata: texts('Labels; returned with the capsule and usable as list filter'),
      user: { type: 'string', description: 'Default user of commands and files; default root' },
      disk_mb: { type: 'integer', default: 5120, description: 'Disk size in MB' },
    },
    ExecRequest: {
      stdin: { type: 'string', description: 'Text for the standard input; absent: end of file at once' },
      user: { type: 'string', description: "User to run as; default the capsule's" },
    },
    ExecResponse: {
      timed_out: {
        type: 'boolean',
        description: 'The timeout ended it: exit_code is 124, output is partial',
      },
      truncated: { type: 'boolean', description: 'Output beyond 16 MiB per stream was dropped' },
      error: {
        type: 'object',
        properties: { code: { type: 'string' }, message: { type: 'string' } },
        description: 'Why the command did not end by itself',
      },
    },
    Capsule: {
      status_reason: { type: ['string', 'null'], description: 'Why it is in error or missing' },
      disk_mb: { type: 'integer' },
      metadata: texts('Labels given at creation'),
    },
    CreateSnapshotRequest: {
      keep_running: { type: 'boolean', default: false, description: 'Let the source capsule go on' },
    },
  },
  query: {
    listCapsules: [
      { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 } },
      {
        name: 'cursor',
        in: 'query',
        description: 'From X-Next-Cursor of the previous page',
        schema: { type: 'string' },
      },
      {
        name: 'status',
        in: 'query',
        description: 'Only this status; stopped and error are listed only when asked for',
        schema: {
          type: 'string',
          enum: ['pending', 'starting', 'running', 'paused', 'stopped', 'missing', 'error'],
        },
      },
      { name: 'template', in: 'query', description: 'Only from this template', schema: { type: 'string' } },
      {
        name: 'metadata',
        in: 'query',
        description: 'Labels that must match, e.g. app=web&env=ci, percent-encoded as one value',
        schema: { type: 'string' },
      },
    ],
  },
};
