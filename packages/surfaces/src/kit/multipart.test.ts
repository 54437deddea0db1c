import { readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import multipart from '@fastify/multipart';
import Fastify from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { errors } from '../wrenn/errors.ts';
import { toWireError } from './errors.ts';
import { receiveUpload } from './multipart.ts';

const written: { path: string; size: number }[] = [];
const failed: unknown[] = [];
const app = Fastify();
let port: number;

beforeAll(async () => {
  await app.register(multipart, { limits: { fileSize: Number.POSITIVE_INFINITY, files: 1 } });
  app.setErrorHandler((error, request, reply) => {
    const wire = toWireError(error, errors, request.id);
    return reply.code(wire.status).send(wire.message);
  });
  app.post('/', async (request, reply) => {
    try {
      await receiveUpload(request, { fileBytes: 100_000, spoolBytes: 50_000 }, async (path, body) => {
        let size = 0;
        for await (const chunk of body) size += chunk.length;
        written.push({ path, size });
      });
    } catch (error) {
      failed.push(error);
      throw error;
    }
    return reply.code(204).send();
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  port = (app.server.address() as AddressInfo).port;
});
afterAll(() => app.close());
beforeEach(() => {
  written.length = 0;
  failed.length = 0;
});

const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('aviary-upload-')).length;

async function upload(...parts: [name: string, value: string | number][]): Promise<number> {
  const form = new FormData();
  for (const [name, value] of parts) {
    form.append(name, typeof value === 'number' ? new Blob([Buffer.alloc(value)]) : value);
  }
  return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form })).status;
}

it('takes path and file in either order and leaves no file behind', async () => {
  const before = leftovers();
  expect(await upload(['path', '/a'], ['file', 99_999])).toBe(204);
  expect(await upload(['file', 40_000], ['path', '/b'])).toBe(204);
  expect(await upload(['path', '/empty'], ['file', 0])).toBe(204);
  expect(written).toEqual([
    { path: '/a', size: 99_999 },
    { path: '/b', size: 40_000 },
    { path: '/empty', size: 0 },
  ]);
  expect(leftovers()).toBe(before);
});

it.each([
  [
    'over the limit',
    413,
    [
      ['path', '/a'],
      ['file', 100_001],
    ],
  ],
  [
    'over the limit by its length alone',
    413,
    [
      ['path', '/a'],
      ['file', 400_000],
    ],
  ],
  [
    'over what is put aside when the path comes last',
    413,
    [
      ['file', 50_001],
      ['path', '/a'],
    ],
  ],
  ['without path', 400, [['file', 10]]],
  ['without file', 400, [['path', '/a']]],
  [
    'with two paths',
    400,
    [
      ['path', '/a'],
      ['path', '/b'],
      ['file', 10],
    ],
  ],
  [
    'with a NUL in its path',
    400,
    [
      ['path', '/a\u0000'],
      ['file', 10],
    ],
  ],
  [
    'under another name',
    400,
    [
      ['path', '/a'],
      ['upload', 10],
    ],
  ],
] as [string, number, [string, string | number][]][])('refuses an upload %s', async (_, status, parts) => {
  const before = leftovers();
  expect(await upload(...parts)).toBe(status);
  expect(written).toEqual([]);
  expect(leftovers()).toBe(before);
});

it('ends the write when the client breaks off', async () => {
  const client = connect(port, '127.0.0.1');
  client.write(
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 90000\r\n\r\n' +
      '--b\r\ncontent-disposition: form-data; name="path"\r\n\r\n/cut\r\n' +
      `--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n${'x'.repeat(30_000)}`,
    () => client.destroy(),
  );
  await expect.poll(() => failed.length).toBe(1);
  expect(written).toEqual([]);
});

it('leaves a kept-alive connection usable after a refusal in the middle of a body', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const head =
    '--b\r\ncontent-disposition: form-data; name="path"\r\n\r\n/a\r\n--b\r\n' +
    'content-disposition: form-data; name="file"; filename="f"\r\n\r\n';
  const send = (size: number) =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'multipart/form-data; boundary=b', 'transfer-encoding': 'chunked' };
      const sending = request({ port, host: '127.0.0.1', method: 'POST', agent, headers });
      sending.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      });
      sending.write(head);
      sending.write(Buffer.alloc(size));
      sending.end('\r\n--b--\r\n');
    });
  expect([await send(5_000_000), await send(10), await send(5_000_000), await send(10)]).toEqual([
    413, 204, 413, 204,
  ]);
  agent.destroy();
});
