/** Who says nothing is let go: credentials that do not come, peers that vanished, bodies that stall or drip. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Actor } from '@aviary/domain/identity';
import { AviaryError, type ErrorDetails, silentLogger } from '@aviary/kernel';
import { createFakeClock, type FakeClock } from '@aviary/kernel/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { errors, renderError, renderSocketError } from '../wrenn/errors.ts';
import {
  createApp,
  createSession,
  defineSurface,
  http,
  mountSurface,
  type OpenApiDocument,
  type SocketOperation,
  socket,
} from './index.ts';
import { OPEN_BODY_MS } from './mount.ts';
import { RECHECK_MS } from './recheck.ts';
import { ALIVE_MS } from './session.ts';
import { AUTH_MS } from './socket-route.ts';

const anyone = { who: 'anyone', because: 'a test' } as const;
const body = { required: true, content: { 'application/json': { schema: { type: 'object' } } } };
const operation = (operationId: string, extra: object = {}) => ({
  operationId,
  responses: { '200': { description: 'ok' } },
  ...extra,
});
const document: OpenApiDocument = {
  openapi: '3.1.0',
  info: { title: 'test', version: '1' },
  paths: {
    '/t/proven': { get: operation('proven'), post: operation('provenBody', { requestBody: body }) },
    '/t/echo': { get: operation('echo'), post: operation('openBody', { requestBody: body }) },
  },
  components: { schemas: {} },
};

const good: Actor = { kind: 'apiKey', keyId: 'k', name: 'k', teamId: 't', ip: null };
/** What the credential of everybody is found to be. */
let look: () => Actor;
const echo: SocketOperation['handle'] = async ({ upgrade }) => {
  const session = await upgrade();
  for await (const message of session.messages) await session.send(message);
};

let clock: FakeClock;
let server: Server;
let port: number;

/** `bodyIdleMs` is real time: it is Node's own watch over the socket. */
async function serve(bodyIdleMs = 60_000) {
  const surface = defineSurface({
    name: 'test',
    prefix: '/t',
    document,
    auth: {
      fromRequest: async ({ headers }) =>
        headers['x-key'] === undefined ? { kind: 'nobody', ip: null } : look(),
      fromMessage: async (message) => ((message as { type: string }).type === 'auth' ? look() : null),
    },
    errors,
    renderError,
    renderSocketError,
    operations: {
      proven: socket({ access: { who: 'team' }, handle: echo }),
      provenBody: http({ access: { who: 'team' }, handle: async () => ({}) }),
      openBody: http({ access: anyone, handle: async () => ({}) }),
      echo: socket({
        access: anyone,
        handle: echo,
      }),
    },
  });
  server = createServer((request, response) => app.routing(request, response));
  const app = createApp({
    server,
    log: silentLogger,
    trustedHops: 0,
    hosts: [],
    fallback: { errors, renderError },
  });
  await mountSurface(app, surface, { log: silentLogger, clock, bodyIdleMs });
  await app.ready();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
}
beforeEach(() => {
  clock = createFakeClock();
  look = () => good;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

/** A WebSocket client with what it heard. */
function join(path: string, options: WebSocket.ClientOptions = {}) {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);
  const heard: { code?: string; n?: number }[] = [];
  client.on('message', (data) => heard.push(JSON.parse(String(data))));
  client.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => client.on('close', resolve));
  return { client, heard, closed };
}

it('gives up a session whose credential does not come in 5 s', async () => {
  await serve();
  const { heard, closed } = join('/t/proven');
  // the watch over the connection and the wait for the credential
  await expect.poll(() => clock.sleepers).toBe(2);
  await clock.advance(AUTH_MS - 1);
  expect(heard).toEqual([]);
  await clock.advance(1);
  expect(await closed).toBe(1008);
  expect(heard).toEqual([expect.objectContaining({ code: 'unauthorized' })]);
  expect(AUTH_MS).toBe(5000);
});

it('lets one address hold only some sessions without a credential', async () => {
  await serve();
  const held = Array.from({ length: 16 }, () => join('/t/proven'));
  await expect.poll(() => clock.sleepers).toBe(32);
  const more = join('/t/proven');
  expect(await more.closed).toBe(1008);
  expect(more.heard).toEqual([expect.objectContaining({ code: 'rate_limited' })]);
  for (const { client } of held) client.terminate();
  await Promise.all(held.map(({ closed }) => closed));
  await expect.poll(() => clock.sleepers).toBe(0);
  const again = join('/t/proven');
  await expect.poll(() => clock.sleepers).toBe(2);
  again.client.terminate();
  await again.closed;
});

it('pings every 30 s, keeps who answers and ends who does not', async () => {
  await serve();
  const alive = join('/t/echo');
  const dead = join('/t/echo', { autoPong: false });
  let pings = 0;
  alive.client.on('ping', () => pings++);
  await expect.poll(() => clock.sleepers).toBe(2);
  for (let n = 1; n <= 3; n++) {
    await clock.advance(ALIVE_MS);
    await expect.poll(() => pings).toBe(n);
    // what follows the pong on the wire is answered after it
    alive.client.send(JSON.stringify({ type: 'x', n }));
    await expect.poll(() => alive.heard.at(-1)?.n).toBe(n);
  }
  expect(await dead.closed).toBe(1006);
  expect(alive.client.readyState).toBe(WebSocket.OPEN);
  alive.client.terminate();
  await alive.closed;
  expect(ALIVE_MS).toBe(30_000);
});

it('stops reading a client that sends nothing, very often', async () => {
  await serve();
  const acceptor = new WebSocketServer({ server });
  server.removeAllListeners('upgrade');
  server.on('upgrade', (request, stream, head) =>
    acceptor.handleUpgrade(request, stream, head, (ws) => acceptor.emit('connection', ws)),
  );
  const accepted = new Promise<WebSocket>((resolve) => acceptor.once('connection', resolve));
  const { client, closed } = join('/');
  const ws = await accepted;
  createSession(ws, clock);
  await expect.poll(() => client.readyState).toBe(WebSocket.OPEN);
  for (let i = 0; i < 100_000; i++) client.send(Buffer.alloc(0));
  await expect.poll(() => ws.isPaused, { timeout: 5000 }).toBe(true);
  client.terminate();
  ws.terminate();
  await closed;
});

/** Sends the beginning of a request whose body does not come. */
function begin(path: string, ...headers: string[]): { client: Socket; closed: Promise<void> } {
  const client = connect(port, '127.0.0.1');
  client.on('error', () => undefined);
  client.resume();
  const closed = new Promise<void>((resolve) => client.on('close', () => resolve()));
  const lines = ['host: localhost', 'content-type: application/json', 'content-length: 100', ...headers];
  client.write([`POST ${path} HTTP/1.1`, ...lines, '', '{'].join('\r\n'));
  return { client, closed };
}

it('gives up a body of which nothing arrives', async () => {
  await serve(50);
  await begin('/t/proven', 'x-key: k').closed;
});

it('gives up a body that drips, where no credential is needed', async () => {
  await serve();
  const { client, closed } = begin('/t/echo');
  const proven = begin('/t/proven', 'x-key: k');
  await expect.poll(() => clock.sleepers).toBe(1);
  await clock.advance(OPEN_BODY_MS - 1);
  client.write(' ');
  expect(client.destroyed).toBe(false);
  await clock.advance(1);
  await closed;
  expect(proven.client.destroyed).toBe(false);
  proven.client.destroy();
});

it('forgets that watch when the body is complete', async () => {
  await serve();
  const response = await fetch(`http://127.0.0.1:${port}/t/echo`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  expect(response.status).toBe(200);
  await expect.poll(() => clock.sleepers).toBe(0);
});

describe('the credential of an open session', () => {
  const refuse = (details: ErrorDetails = {}) => {
    look = () => {
      throw new AviaryError('unauthorized', 'no longer', { details });
    };
  };
  const byHeader = () => join('/t/proven', { headers: { 'x-key': 'k' } });
  const byMessage = () => {
    const joined = join('/t/proven');
    joined.client.on('open', () => joined.client.send('{"type":"auth"}'));
    return joined;
  };

  it.each([
    ['a header', byHeader],
    ['its first message', byMessage],
  ])('ends it when it is revoked, given in %s', async (_, open) => {
    await serve();
    const { client, heard, closed } = open();
    client.on('open', () => client.send('{"type":"x","n":1}'));
    await expect.poll(() => heard.at(-1)?.n).toBe(1);
    await clock.advance(RECHECK_MS);
    expect(heard.length).toBe(1);
    refuse();
    await clock.advance(RECHECK_MS);
    expect(await closed).toBe(1008);
    expect(heard.at(-1)?.code).toBe('unauthorized');
    await expect.poll(() => clock.sleepers).toBe(0);
  });

  it('ends it when the account left the team, but not by expiring or while nobody can tell', async () => {
    await serve();
    const { client, heard, closed } = byHeader();
    client.on('open', () => client.send('{"type":"x","n":1}'));
    await expect.poll(() => heard.at(-1)?.n).toBe(1);
    refuse({ expired: true });
    await clock.advance(RECHECK_MS);
    look = () => {
      throw new AviaryError('database_unavailable', 'away');
    };
    await clock.advance(RECHECK_MS);
    client.send('{"type":"x","n":2}');
    await expect.poll(() => heard.at(-1)?.n).toBe(2);
    look = () => ({
      kind: 'user',
      accountId: 'a',
      email: 'a@b',
      name: 'a',
      teamId: 't',
      teamRole: null,
      platformRole: 'user',
      ip: null,
    });
    await clock.advance(RECHECK_MS);
    expect(await closed).toBe(1008);
    expect(heard.at(-1)?.code).toBe('forbidden');
  });
});
