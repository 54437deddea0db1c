/** The kit over real sockets: bodies, errors, methods, upgrades, flow control. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { AviaryError, type Logger, systemClock } from '@aviary/kernel';
import { createFakeClock } from '@aviary/kernel/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { errors, renderError, renderSocketError } from '../wrenn/errors.ts';
import { createApp, defineSurface, http, mountSurface, type OpenApiDocument, socket } from './index.ts';

const logged: object[] = [];
const clock = createFakeClock();
const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
const line = (level: string) => (fields: object, message: string) =>
  lines.push({ level, message, fields: { ...fields } });
const log: Logger = {
  debug: line('debug'),
  info: line('info'),
  warn: line('warn'),
  error: (fields, message) => {
    line('error')(fields, message);
    logged.push(fields);
  },
  child: () => log,
};
const anyone = { who: 'anyone', because: 'a test' } as const;
const operation = (operationId: string, extra: object = {}) => ({
  operationId,
  responses: { '200': { description: 'ok' } },
  ...extra,
});
const document: OpenApiDocument = {
  openapi: '3.1.0',
  info: { title: 'test', version: '1' },
  paths: {
    '/t/echo': {
      get: operation('hello'),
      post: operation('echo', {
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: { type: 'object', properties: { n: { type: 'integer' } } } },
          },
        },
      }),
    },
    '/t/fail/{how}': {
      parameters: [{ name: 'how', in: 'path', required: true, schema: { type: 'string' } }],
      get: operation('fail'),
    },
    '/t/flood': { get: operation('flood') },
  },
  components: { schemas: {} },
};
const FLOOD = 200;
let sent = 0;
let server: Server;
let port: number;

beforeAll(async () => {
  const surface = defineSurface({
    name: 'test',
    prefix: '/t',
    document,
    auth: { fromRequest: async () => ({ kind: 'nobody', ip: null }), fromMessage: async () => null },
    errors,
    renderError,
    renderSocketError,
    operations: {
      hello: http({ access: anyone, handle: async () => ({ hello: true }) }),
      echo: http({ access: anyone, handle: async ({ body }) => body }),
      fail: http({
        access: anyone,
        handle: async ({ params }) => {
          if (params['how'] === 'bug') throw new Error('the secret is 42');
          if (params['how'] === 'away') throw new AviaryError('database_unavailable', 'away');
          if (params['how'] === 'host') throw new AviaryError('host_unavailable', 'away');
          if (params['how'] === 'slow') {
            await systemClock.sleep(1100);
            return {};
          }
          throw new AviaryError('rate_limited', 'slow down', { details: { retryAfterSec: 6.2 } });
        },
      }),
      flood: socket({
        access: anyone,
        handle: async ({ upgrade }) => {
          const session = await upgrade();
          await session.messages.next();
          for (; sent < FLOOD; sent++) await session.send({ type: 'x', data: 'x'.repeat(256 * 1024) });
        },
      }),
    },
  });
  server = createServer((request, response) => app.routing(request, response));
  const app = createApp({
    server,
    log,
    trustedHops: 0,
    slowMs: 1000,
    hosts: ['aviary.test'],
    fallback: { errors, renderError },
  });
  await mountSurface(app, surface, { log, clock });
  await app.ready();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const get = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);
const post = (body: string | Uint8Array<ArrayBuffer>, type = 'application/json') =>
  get('/t/echo', { method: 'POST', body, headers: { 'content-type': type } });

it('gives every answer a request id and takes a sane one over', async () => {
  const own = await get('/t/echo');
  expect(own.headers.get('x-request-id')).toMatch(/^[0-9a-f]{16}$/);
  expect(own.headers.get('x-content-type-options')).toBe('nosniff');
  const taken = await get('/t/echo', { headers: { 'x-request-id': 'abc-1' } });
  expect(taken.headers.get('x-request-id')).toBe('abc-1');
  const refused = await get('/t/echo', { headers: { 'x-request-id': '<script>' } });
  expect(refused.headers.get('x-request-id')).not.toBe('<script>');
});

it('hides what a bug says and logs it with the request id', async () => {
  const answer = await get('/t/fail/bug');
  expect(answer.status).toBe(500);
  const text = await answer.text();
  expect(text).not.toContain('secret');
  expect(text).toContain(answer.headers.get('x-request-id'));
  expect(logged).toContainEqual(
    expect.objectContaining({ requestId: answer.headers.get('x-request-id'), err: expect.any(Error) }),
  );
});

it('says when to come back', async () => {
  const answer = await get('/t/fail/limit');
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7']);
});

it('tells a wrong method from a wrong path', async () => {
  const wrongMethod = await get('/t/echo', { method: 'DELETE' });
  expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  expect((await get('/t/nothing')).status).toBe(404);
  expect((await get('/elsewhere')).status).toBe(404);
});

it.each([
  ['not JSON', '{"n":'],
  ['a list', '[1]'],
  ['a wrong type', '{"n":"1"}'],
  ['a prototype', '{"__proto__":{"x":1}}'],
  ['a constructor', '{"constructor":{"prototype":{"x":1}}}'],
  ['a NUL byte', '{"s":"\\u0000"}'],
  ['nothing', ''],
])('refuses a body that is %s', async (_, body) => {
  const answer = await post(body);
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as { error: { code: string } }).error.code).toBe('invalid_request');
});

it('refuses other content types, invalid UTF-8 and bodies over the limit', async () => {
  expect((await post('n=1', 'application/x-www-form-urlencoded')).status).toBe(400);
  expect((await post(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).status).toBe(400);
  expect((await post(JSON.stringify({ s: 'x'.repeat(1024 * 1024) }))).status).toBe(413);
  expect(await (await post('{"n":1,"other":2}')).json()).toEqual({ n: 1, other: 2 });
});

it('ignores an upgrade it does not speak, body included', async () => {
  const body = '{"n":7}';
  const answer = await new Promise<string>((resolve, reject) => {
    const client = connect(port, '127.0.0.1');
    let text = '';
    client.on('data', (chunk) => {
      text += chunk;
      if (text.includes('{"n":7}')) client.end();
    });
    client.on('close', () => resolve(text));
    client.on('error', reject);
    client.write(
      `POST /t/echo HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n` +
        `http2-settings: AAMAAABk\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer.endsWith(body)).toBe(true);
});

it('answers a WebSocket route without upgrade with 426 in the body of the surface', async () => {
  const answer = await get('/t/flood');
  expect(answer.status).toBe(426);
  expect(await answer.json()).toMatchObject({ error: { code: 'upgrade_required' } });
});

it('stops sending to a client that does not read, and loses nothing', async () => {
  const client = new WebSocket(`ws://127.0.0.1:${port}/t/flood`);
  let received = 0;
  const ended = new Promise<void>((resolve) => client.on('close', () => resolve()));
  client.on('message', () => {
    received++;
  });
  await new Promise<void>((resolve) => client.on('open', () => resolve()));
  client.pause();
  client.send('{"type":"go"}');
  // until the sender makes no more progress
  let before = -1;
  while (sent !== before || sent === 0) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(sent).toBeLessThan(FLOOD / 2);
  client.resume();
  await ended;
  expect(received).toBe(FLOOD);
});

it('logs a line per request at debug only, with its id; failures of ours are errors', async () => {
  lines.length = 0;
  for (const path of ['/t/echo', '/t/nothing', '/t/fail/limit', '/t/fail/bug']) await get(path);
  await expect.poll(() => lines.filter(({ message }) => message === 'request').length).toBe(4);
  expect(lines.filter(({ message }) => message === 'request').map(({ level }) => level)).toEqual(
    Array(4).fill('debug'),
  );
  for (const { fields } of lines) expect(fields['requestId']).toMatch(/^[0-9a-f]{16}$/);
  expect(lines.filter(({ level }) => level !== 'debug')).toEqual([
    {
      level: 'error',
      message: 'request failed',
      fields: { err: expect.any(Error), requestId: expect.any(String), route: '/t/fail/:how' },
    },
  ]);
});

it('logs what took long at info', async () => {
  lines.length = 0;
  await get('/t/fail/slow');
  await expect
    .poll(() => lines)
    .toContainEqual({
      level: 'info',
      message: 'slow request',
      fields: expect.objectContaining({ route: '/t/fail/:how', status: 200, requestId: expect.any(String) }),
    });
});

it('does not write a line for every request that an outage refuses', async () => {
  lines.length = 0;
  for (const how of ['away', 'host']) expect((await get(`/t/fail/${how}`)).status).toBe(503);
  await expect.poll(() => lines.filter(({ message }) => message === 'request').length).toBe(2);
  expect(lines.filter(({ level }) => level !== 'debug')).toEqual([
    { level: 'warn', message: 'request refused', fields: expect.objectContaining({ route: '/t/fail/:how' }) },
  ]);
});
