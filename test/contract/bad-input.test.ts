/** Bad input everywhere it can be put: each answer is a clear refusal (or fine), never a failure of ours. */
import type { JsonSchema } from '@aviary/surfaces/kit';
import { DOCUMENT } from '@aviary/surfaces/wrenn';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { assemble, type Cast, type Company, gather } from './cast.ts';
import { type Client, createClient, type Request } from './client.ts';
import { type Instance, startInstance } from './instance.ts';
import { SAMPLES } from './samples.ts';

const TEXTS = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  'line\nbreak',
  '\u001b[31mred',
  '\u0085\u009f',
  '\u202egnp.exe',
  '../../../../etc/passwd',
  '/'.repeat(5000),
  "'; drop table capsule; --",
  '%00%2f..%2f',
  '\ud800',
  '😀'.repeat(300),
  'x'.repeat(900_000),
  '__proto__',
  'constructor',
  '0x10',
  '1e999',
];
const OTHERS = [
  null,
  true,
  -1,
  0,
  1.5,
  2 ** 53,
  -(2 ** 31) - 1,
  1e300,
  [],
  [[]],
  {},
  { a: { b: {} } },
  ['x'.repeat(5000)],
];
/** Path parameters and query strings go through the request line, which Node bounds at 16 KiB. */
const IN_URL = TEXTS.filter((text) => text.length < 2000);

let instance: Instance;
let client: Client;
let company: Company;
beforeAll(async () => {
  instance = await startInstance();
  client = createClient(instance.url, DOCUMENT);
  company = await gather(client);
});
afterAll(() => instance?.stop());

const failures: string[] = [];
/** Sends it; anything of ours that breaks is noted with what was sent. */
async function probe(id: string, request: Request, what: string): Promise<void> {
  try {
    const { status } = await client.call(id, request);
    if (status >= 500) failures.push(`${id} ${what}: ${status}`);
  } catch (error) {
    failures.push(`${id} ${what}: ${String(error).slice(0, 300)}`);
  }
}

function propertiesOf(id: string): string[] {
  const route = instance.routes.find(({ located }) => located.id === id)!;
  const schema = route.located.operation.requestBody?.content['application/json']?.schema;
  const name = (schema?.['$ref'] as string | undefined)?.split('/').at(-1);
  const resolved: JsonSchema | undefined = name === undefined ? schema : DOCUMENT.components.schemas[name];
  return Object.keys((resolved?.['properties'] as object | undefined) ?? {});
}

const as = (cast: Cast, id: string) =>
  instance.routes.find(({ located }) => located.id === id)!.declared.access.who === 'team'
    ? cast.credentials.teamKey
    : cast.credentials.owner;

it('never fails on a bad body field', async () => {
  for (const { surface, located, declared } of instance.routes) {
    if (surface !== 'wrenn' || declared.kind === 'socket') continue;
    const id = located.id as keyof typeof SAMPLES;
    const fields = propertiesOf(id);
    if (fields.length === 0) continue;
    const cast = await assemble(client, company);
    for (const field of fields) {
      for (const value of [...TEXTS, ...OTHERS]) {
        const sample = SAMPLES[id](cast, 'owner');
        const body = { ...(sample.body as object), [field]: value };
        await probe(
          id,
          { ...sample, body, as: as(cast, id) },
          `${field}=${JSON.stringify(value).slice(0, 40)}`,
        );
      }
    }
  }
  expect(failures.splice(0)).toEqual([]);
});

it('never fails on a bad body', async () => {
  const bodies = [
    '',
    ' ',
    '{',
    '[]',
    '"x"',
    'null',
    '1',
    '{"a":1}{"b":2}',
    `${'['.repeat(100_000)}`,
    `{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
    `${'{"x":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    '{"__proto__":{"a":1}}',
    '\u0000',
    `{"cmd":"true","cmd":"echo"}`,
  ];
  const types = [
    'application/json',
    'text/plain',
    'multipart/form-data',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'nonsense',
    '',
  ];
  for (const { surface, located, declared } of instance.routes) {
    if (surface !== 'wrenn' || declared.kind === 'socket' || located.method === 'get') continue;
    const id = located.id as keyof typeof SAMPLES;
    // deleting the team would end the walk for the others
    if (id === 'deleteTeam' || id === 'leaveTeam') continue;
    const cast = await assemble(client, company);
    for (const type of types) {
      for (const body of bodies) {
        const sample = SAMPLES[id](cast, 'owner');
        const { form: _, ...rest } = sample;
        const request = { ...rest, body, headers: { 'content-type': type }, as: as(cast, id) };
        await probe(id, request, `${type} ${JSON.stringify(body).slice(0, 40)}`);
      }
    }
  }
  expect(failures.splice(0)).toEqual([]);
});

it('never fails on a bad path or query', async () => {
  for (const { surface, located, declared } of instance.routes) {
    if (surface !== 'wrenn' || declared.kind === 'socket') continue;
    const id = located.id as keyof typeof SAMPLES;
    const cast = await assemble(client, company);
    for (const { name, in: where } of located.parameters) {
      for (const text of IN_URL) {
        const sample = SAMPLES[id](cast, 'owner');
        // an empty path parameter or a dot segment is another path
        if (where === 'path' && (text === '' || /\p{Surrogate}/u.test(text))) continue;
        const bad =
          where === 'path'
            ? { ...sample, params: { ...sample.params, [name]: text } }
            : { ...sample, query: { ...sample.query, [name]: text } };
        await probe(
          id,
          { ...bad, as: as(cast, id) },
          `${where} ${name}=${JSON.stringify(text).slice(0, 40)}`,
        );
      }
    }
  }
  expect(failures.splice(0)).toEqual([]);
});

it('never fails on bad credentials', async () => {
  for (const text of [...IN_URL, 'wrn_', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.']) {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) continue;
    for (const headers of [
      { 'x-api-key': text },
      { authorization: text },
      { authorization: `Bearer ${text}` },
    ]) {
      const { status } = await client.call('listCapsules', { headers });
      if (![400, 401].includes(status)) failures.push(`${JSON.stringify(headers).slice(0, 80)}: ${status}`);
    }
  }
  expect(failures).toEqual([]);
});

it('logged no bug', () => {
  expect(instance.bugs).toEqual([]);
});
