/** Whom a request is meant for and where it comes from, over real sockets. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { silentLogger } from '@aviary/kernel';
import { afterEach, expect, it } from 'vitest';
import { errors, renderError } from '../wrenn/errors.ts';
import { createApp, hostName, isLocal, isLoopback } from './index.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** An app whose only route says what it makes of its client. Answers a function that sends raw headers. */
async function open(hosts: readonly string[] | null, trustedHops = 0) {
  const server = createServer((request, response) => app.routing(request, response));
  servers.push(server);
  const app = createApp({ server, log: silentLogger, trustedHops, hosts, fallback: { errors, renderError } });
  app.get('/', async (request) => ({ ip: request.ip, local: isLocal(request) }));
  await app.ready();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return (...lines: string[]) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const client = connect(port, '127.0.0.1');
      let text = '';
      client.on('data', (chunk) => {
        text += chunk;
      });
      client.on('error', reject);
      client.on('end', () =>
        resolve({ status: Number(text.split(' ')[1]), body: text.slice(text.indexOf('\r\n\r\n') + 4) }),
      );
      client.write(['GET / HTTP/1.1', 'connection: close', ...lines, '', ''].join('\r\n'));
    });
}

it.each([
  ['localhost', 200],
  ['localhost:8080', 200],
  ['app.LOCALHOST', 200],
  ['127.0.0.1:80', 200],
  ['[::1]:80', 200],
  ['10.1.2.3', 200],
  ['aviary.test:80', 200],
  ['Aviary.Test.', 200],
  ['evil.example', 421],
  ['aviary.test.evil.example', 421],
  ['localhost.evil.example:80', 421],
  ['127.0.0.1.evil.example', 421],
  ['notlocalhost', 421],
  ['127.0.0.1@evil.example', 421],
  ['', 421],
])('answers Host: %s with %i', async (host, status) => {
  const send = await open(['aviary.test']);
  expect((await send(`host: ${host}`)).status).toBe(status);
});

it('takes any name when it was told none, but never two', async () => {
  const send = await open(null);
  expect((await send('host: whatever.example')).status).toBe(200);
  expect((await send('host: 127.0.0.1', 'Host: evil.example')).status).toBe(400);
});

it('believes no claim about the client unless a proxy is in front, and then only the proxy', async () => {
  const claims = ['host: 127.0.0.1', 'x-forwarded-for: 198.51.100.9, 203.0.113.5'];
  expect(JSON.parse((await (await open(null))(...claims)).body)).toEqual({ ip: '127.0.0.1', local: false });
  // the proxy wrote the last one; what stands before it came from the client
  expect(JSON.parse((await (await open(null, 1))(...claims)).body)).toEqual({
    ip: '203.0.113.5',
    local: false,
  });
});

it('knows programs of this machine', async () => {
  const send = await open([]);
  expect(JSON.parse((await send('host: localhost')).body).local).toBe(true);
  expect(JSON.parse((await send('host: localhost', 'x-forwarded-for: 127.0.0.1')).body).local).toBe(false);
  expect(JSON.parse((await send('host: localhost', 'forwarded: for=127.0.0.1')).body).local).toBe(false);
  expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'].map(isLoopback)).not.toContain(false);
  expect(['10.0.0.1', '::', '::ffff:10.0.0.1', '127.evil', ''].map(isLoopback)).not.toContain(true);
});

it('finds the name in a Host header', () => {
  expect(['A.b:1', '[::1]:2', 'x.', '', 'a b', 'a:b', 'u@h'].map(hostName)).toEqual([
    'a.b',
    '::1',
    'x',
    null,
    null,
    null,
    null,
  ]);
});
