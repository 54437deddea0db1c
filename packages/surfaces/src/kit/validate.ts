/** Requests checked against the contract's own schemas. Bodies are never coerced; query strings by type. */
import { AviaryError, invalidField } from '@aviary/kernel';
import { Ajv2020 as Ajv, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { LocatedOperation, OpenApiDocument } from './contract.ts';
import { refuseUnstorable, singleLine } from './text.ts';

/** Checks of one operation. Each throws invalid_request naming the field. */
export interface RequestChecks {
  params(values: Record<string, string>): Record<string, string>;
  query(values: Record<string, unknown>): Record<string, unknown>;
  body(value: unknown): unknown;
  /** What the body must be; null when the operation takes none. */
  bodyType: 'application/json' | 'multipart/form-data' | null;
}

/** Compiles the checks of all operations of a document. */
export function createValidator(document: OpenApiDocument): (located: LocatedOperation) => RequestChecks {
  const bodies = newAjv(false);
  const queries = newAjv(true);
  bodies.addSchema(document as object, 'contract', undefined, false);
  queries.addSchema(document as object, 'contract', undefined, false);

  return ({ operation, parameters, pointer }) => {
    const queryParameters = parameters.filter((p) => p.in === 'query');
    const checkQuery = queries.compile({
      type: 'object',
      required: queryParameters.filter((p) => p.required).map((p) => p.name),
      properties: Object.fromEntries(queryParameters.map((p) => [p.name, p.schema ?? {}])),
    });
    const content = operation.requestBody?.content ?? {};
    const json = content['application/json'] !== undefined;
    const checkBody = json
      ? bodies.compile({ $ref: `contract#${pointer}/requestBody/content/application~1json/schema` })
      : null;
    return {
      bodyType: json ? 'application/json' : 'multipart/form-data' in content ? 'multipart/form-data' : null,
      params: (values) => {
        for (const [name, value] of Object.entries(values)) singleLine(name, value);
        return values;
      },
      query: (values) => {
        const own = { ...values };
        for (const [name, value] of Object.entries(own)) {
          if (Array.isArray(value)) throw invalidField(name, 'is given more than once');
        }
        refuseUnstorable(own);
        check(checkQuery, own, 'query');
        return own;
      },
      body: (value) => {
        if (checkBody === null) return undefined;
        if (value === undefined && operation.requestBody?.required !== true) return {};
        if (value === undefined || value === null) {
          throw new AviaryError('invalid_request', 'send a JSON object as the body ({} for the defaults)');
        }
        check(checkBody, value, 'body');
        refuseUnstorable(value);
        return value;
      },
    };
  };
}

function newAjv(coerceTypes: boolean): Ajv {
  // strict is off because a published document carries annotations (example, …) that Ajv does not know
  const ajv = new Ajv({ strict: false, coerceTypes, useDefaults: false, allErrors: false });
  addFormats.default(ajv);
  return ajv;
}

function check(validate: ValidateFunction, value: unknown, whole: string): void {
  if (validate(value)) return;
  const error = validate.errors![0]!;
  throw invalidField(fieldOf(error) || whole, sentence(error));
}

/** `/args/0` -> `args[0]`, and the missing property for `required`. */
function fieldOf(error: ErrorObject): string {
  const tokens = error.instancePath
    .split('/')
    .slice(1)
    .map((t) => t.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'required') tokens.push(String(error.params['missingProperty']));
  const field = tokens.map((t, i) => (/^\d+$/.test(t) ? `[${t}]` : i === 0 ? t : `.${t}`)).join('');
  return field.length > 100 ? `${field.slice(0, 100)}…` : field;
}

function sentence(error: ErrorObject): string {
  switch (error.keyword) {
    case 'required':
      return 'is required';
    case 'type':
      return `must be ${[error.params['type']].flat().join(' or ')}`;
    case 'enum':
      return `must be one of ${(error.params['allowedValues'] as unknown[]).join(', ')}`;
    case 'format':
      return `is not a valid ${error.params['format']}`;
    default:
      return error.message ?? 'is not valid';
  }
}
