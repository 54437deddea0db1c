/**
 * A client that knows the contract: every answer must be documented for its operation and match its schema
 * with nothing undeclared in it. It keeps account of what it saw, so that a suite can prove it saw everything.
 */
import { type OpenApiDocument, operationsOf } from '@aviary/surfaces/kit';
import { Ajv2020 as Ajv } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { closeSchemas } from './closed.ts';

export interface Answer<T = Record<string, unknown>> {
  status: number;
  headers: Headers;
  /** Parsed JSON, or null when the answer is none. */
  body: T;
  bytes: Buffer;
}

export type Credential = { token: string } | { key: string } | null;

export interface Request {
  params?: Record<string, string>;
  query?: Record<string, string>;
  body?: unknown;
  form?: FormData;
  as?: Credential;
  headers?: Record<string, string>;
}

export interface Client {
  call<T = Record<string, unknown>>(operationId: string, request?: Request): Promise<Answer<T>>;
  /** `operationId status` pairs seen so far. */
  seen: Set<string>;
  /** Where an operation is, with its parameters filled in. */
  pathOf(operationId: string, params?: Record<string, string>): string;
}

export const headersOf = (as: Credential): Record<string, string> =>
  as === null ? {} : 'token' in as ? { authorization: `Bearer ${as.token}` } : { 'x-api-key': as.key };

/** A client of the instance at `url`. */
export function createClient(url: string, document: OpenApiDocument): Client {
  const closed = closeSchemas(document);
  const operations = new Map(operationsOf(closed).map((o) => [o.id, o]));
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(closed as object, 'closed', undefined, false);
  const seen = new Set<string>();
  const schemaOf = (pointer: string) =>
    ajv.getSchema(`closed#${pointer}`) ?? ajv.compile({ $ref: `closed#${pointer}` });

  const locate = (operationId: string) => {
    const found = operations.get(operationId);
    if (found === undefined) throw new Error(`the contract has no operation ${operationId}`);
    return found;
  };
  const pathOf = (operationId: string, params: Record<string, string> = {}) =>
    locate(operationId).path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(params[name] ?? `no-${name}`),
    );

  const check = (operationId: string, status: number, body: unknown) => {
    const { operation, pointer } = locate(operationId);
    const documented = operation.responses[String(status)];
    if (documented === undefined && status < 400)
      throw new Error(`${operationId}: ${status} is not documented`);
    const json = documented?.content?.['application/json'] !== undefined;
    const at =
      documented === undefined || documented.$ref !== undefined
        ? '/components/schemas/Error'
        : json
          ? `${pointer}/responses/${status}/content/application~1json/schema`
          : null;
    if (at === null) return;
    const validate = schemaOf(at);
    if (!validate(body)) {
      throw new Error(
        `${operationId} ${status}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`,
      );
    }
  };

  return {
    seen,
    pathOf,
    call: async <T>(operationId: string, request: Request = {}) => {
      const { method } = locate(operationId);
      const search = request.query === undefined ? '' : `?${new URLSearchParams(request.query)}`;
      const response = await fetch(url + pathOf(operationId, request.params) + search, {
        method: method.toUpperCase(),
        headers: {
          ...headersOf(request.as ?? null),
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...request.headers,
        },
        ...(request.form === undefined
          ? request.body === undefined
            ? {}
            : { body: typeof request.body === 'string' ? request.body : JSON.stringify(request.body) }
          : { body: request.form }),
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
      const body = isJson ? (JSON.parse(bytes.toString()) as T) : (null as T);
      seen.add(`${operationId} ${response.status}`);
      check(operationId, response.status, body);
      return { status: response.status, headers: response.headers, body, bytes };
    },
  };
}
