/** The HTTP side as an attacker would try it, on a whole control plane: routing tricks, framing, floods, forgeries. */
import { connect, type Socket } from 'node:net';
import { DOCUMENT } from '@aviary/surfaces/wrenn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, createClient } from './client.ts';
import { type Instance, startInstance } from './instance.ts';
import { makeKey, type Person, signUp } from './people.ts';

const LIMITS = {
  loginPerAccountAndIp: { max: 3, windowSec: 600 },
  loginPerIp: { max: 1000, windowSec: 600 },
  tokenPerIp: { max: 40, windowSec: 600 },
  signupPerIp: { max: 1000, windowSec: 600 },
  lookupPerAccount: { max: 5, windowSec: 600 },
};

let instance: Instance;
let strict: Instance;
let client: Client;
let person: Person;
let key: string;
let capsuleId: string;
beforeAll(async () => {
  instance = await startInstance();
  strict = await startInstance({ limits: LIMITS });
  client = createClient(instance.url, DOCUMENT);
  person = await signUp(client, 'victim');
  key = await makeKey(client, person.token);
  const made = await client.call<{ id: string }>('createCapsule', { body: {}, as: { key } });
  capsuleId = made.body.id;
});
afterAll(async () => {
  await instance?.stop();
  await strict?.stop();
});

/** Raw bytes to the server; answers everything it says until it hangs up. */
function raw(text: string, url = instance.url): Promise<string> {
  return new Promise((resolve, reject) => {
    const port = Number(new URL(url).port);
    const socket: Socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // it hung up while we still wrote; what it said before counts
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(answer);
      else reject(error);
    });
    socket.on('close', () => resolve(answer));
    socket.write(text, 'latin1');
  });
}
const lines = (...of: string[]) => [...of, '', ''].join('\r\n');
const statusOf = (answer: string) => Number(answer.split(' ')[1]);
const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);
const ask = (line: string, ...headers: string[]) =>
  raw(lines(`${line} HTTP/1.1`, 'host: localhost', 'connection: close', ...headers));

describe('default deny', () => {
  it.each([
    ['HEAD', '/v1/capsules', 401],
    ['OPTIONS', '/v1/capsules', 405],
    ['TRACE', '/v1/capsules', 405],
    ['PATCH', '/v1/capsules', 405],
    ['GET', '/v1/capsules/', 401],
    ['GET', '//v1/capsules', 404],
    ['GET', '/v1//capsules', 404],
    ['GET', '/V1/capsules', 404],
    ['GET', '/v1/./capsules', 404],
    ['GET', '/docs/../v1/capsules', 404],
    ['GET', '/v1/%63apsules', 401],
    ['GET', '/v1/capsules;x=1', 404],
    ['GET', '/docs/%2e%2e%2fpackage.json', 404],
    ['GET', '/docs/..%2f..%2f..%2fetc%2fpasswd', 404],
    ['GET', '/docs/__proto__', 404],
    ['GET', '/docs/constructor', 404],
    ['GET', '/v1/capsules/%', 400],
    ['GET', '/v1/capsules/%ff', 400],
    ['GET', 'http://evil.example/v1/capsules', 401],
  ])('%s %s is %i for nobody', async (method, path, status) => {
    const answer = await ask(`${method} ${path}`);
    expect(statusOf(answer)).toBe(status);
    expect(answer).not.toMatch(/access-control-allow|node_modules|\/work\/|\.ts:/i);
  });

  it.each([
    ['an encoded slash', (id: string) => `x%2f${id}`],
    ['a doubly encoded id', (id: string) => id.replace('-', '%252d')],
    ['a parent folder', (id: string) => `..%2fcapsules%2f${id}`],
    ['a trailing dot', (id: string) => `${id}.`],
    ['a trailing space', (id: string) => `${id}%20`],
    ['capitals', (id: string) => id.toUpperCase()],
  ])('%s names no capsule', async (_, mangle) => {
    const path = `/v1/capsules/${mangle(capsuleId)}`;
    expect(statusOf(await ask(`GET ${path}`, `x-api-key: ${key}`))).toBe(404);
    // and never reaches further in
    expect(statusOf(await ask(`GET ${path}`))).toBe(401);
  });

  it('refuses a NUL and control characters in an id', async () => {
    for (const bad of ['%00', '%0a', '%1b']) {
      expect(statusOf(await ask(`GET /v1/capsules/${capsuleId}${bad}`, `x-api-key: ${key}`))).toBe(400);
    }
  });

  it('takes no credential from where it does not belong', async () => {
    expect(statusOf(await ask(`GET /v1/capsules?api_key=${key}&x-api-key=${key}`))).toBe(401);
    expect(statusOf(await ask('GET /v1/capsules', `cookie: x-api-key=${key}; token=${person.token}`))).toBe(
      401,
    );
    expect(statusOf(await ask('GET /v1/capsules', `authorization: Basic ${btoa(`x:${key}`)}`))).toBe(401);
  });

  it('is not confused by credentials given twice', async () => {
    const wrong = `wrn_${'0'.repeat(32)}`;
    for (const two of [
      [`x-api-key: ${wrong}`, `x-api-key: ${key}`],
      [`x-api-key: ${key}`, `x-api-key: ${wrong}`],
      [`authorization: Bearer ${person.token}x`, `authorization: Bearer ${person.token}`],
      [`authorization: Bearer ${person.token}, Bearer ${person.token}`],
    ]) {
      expect(statusOf(await ask('GET /v1/capsules', ...two))).toBe(401);
    }
  });
});

describe('framing', () => {
  const post = 'POST /v1/auth/login HTTP/1.1';
  it.each([
    ['length and chunks', ['content-length: 4', 'transfer-encoding: chunked']],
    ['two lengths', ['content-length: 4', 'content-length: 40']],
    ['a signed length', ['content-length: +4']],
    ['an unknown coding', ['transfer-encoding: xchunked']],
    ['a space before the colon', ['content-length : 4']],
    ['a folded header', ['x-a: 1', ' transfer-encoding: chunked', 'content-length: 4']],
    ['a bare CR in a header', ['x-a: 1\rcontent-length: 4']],
  ])('refuses %s', async (_, headers) => {
    const hidden = '0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const answer = await raw(`${lines(post, 'host: localhost', 'connection: close', ...headers)}${hidden}`);
    expect(statusOf(answer)).toBe(400);
    // one answer: what was hidden was not taken for a request
    expect(answer.match(/HTTP\/1\.1 /g)?.length).toBe(1);
  });

  it('needs exactly one Host, of ours', async () => {
    expect(statusOf(await raw(lines('GET /healthz HTTP/1.1', 'connection: close')))).toBe(400);
    const two = lines('GET /healthz HTTP/1.1', 'host: localhost', 'host: localhost', 'connection: close');
    expect(statusOf(await raw(two))).toBe(400);
    const rebound = lines('POST /v1/auth/signup HTTP/1.1', 'host: evil.example:8080', 'connection: close');
    const answer = await raw(rebound);
    expect(statusOf(answer)).toBe(421);
    expect(JSON.parse(bodyOf(answer))).toMatchObject({ error: { code: 'misdirected' } });
    const upgrade = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'];
    const socket = lines(
      `GET /v1/capsules/${capsuleId}/pty HTTP/1.1`,
      'host: evil.example',
      `sec-websocket-key: ${btoa('0123456789abcdef')}`,
      ...upgrade,
    );
    expect(statusOf(await raw(socket))).toBe(421);
  });

  it('bounds headers and addresses', async () => {
    expect(statusOf(await ask('GET /healthz', `x-a: ${'a'.repeat(20_000)}`))).toBe(431);
    expect(statusOf(await ask(`GET /v1/capsules/${'a'.repeat(20_000)}`))).toBe(431);
    expect(statusOf(await ask(`GET /v1/capsules/${'a'.repeat(2_000)}`, `x-api-key: ${key}`))).toBe(404);
  });

  it('answers an announced body that is too large before it is sent', async () => {
    for (const size of [70_000, 2 ** 40]) {
      const head = [`content-length: ${size}`, 'content-type: application/json'];
      expect(statusOf(await ask('POST /v1/auth/login', ...head))).toBe(413);
    }
  });
});

describe('bodies', () => {
  const login = (body: string, type = 'application/json') =>
    fetch(`${instance.url}/v1/auth/login`, { method: 'POST', body, headers: { 'content-type': type } });

  it.each([
    ['__proto__', '{"email":"a@b","password":"x","__proto__":{"platformRole":"admin"}}'],
    ['nested __proto__', '{"email":"a@b","password":"x","a":{"\\u005f_proto__":{"x":1}}}'],
    ['constructor', '{"email":"a@b","password":"x","constructor":{"prototype":{"x":1}}}'],
    ['objects for texts', '{"email":{"$gt":""},"password":{"$gt":""}}'],
    ['deep nesting', `{"email":"a@b","password":"x","a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
  ])('refuses %s', async (_, body) => {
    expect((await login(body)).status).toBe(400);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('takes a form or text for no JSON, so that a page of another site cannot send one unasked', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=b',
    ]) {
      expect(
        (await login(JSON.stringify({ email: person.email, password: person.password }), type)).status,
      ).toBe(400);
    }
  });

  it('decides about evil addresses in no time', async () => {
    const started = performance.now();
    for (const email of [
      `${'a'.repeat(60_000)}`,
      `a@${'a-'.repeat(30_000)}`,
      `a@${'a.'.repeat(30_000)}`,
      `${'a.'.repeat(30_000)}@`,
      `a@${'-'.repeat(60_000)}a`,
      `a@${'a'.repeat(120)}${'-'.repeat(120)}.`,
    ]) {
      const response = await fetch(`${instance.url}/v1/auth/signup`, {
        method: 'POST',
        body: JSON.stringify({ email, password: 'long enough', name: 'x' }),
        headers: { 'content-type': 'application/json' },
      });
      expect(response.status).toBe(400);
    }
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  const upload = (parts: string) =>
    fetch(`${instance.url}/v1/capsules/${capsuleId}/files/write`, {
      method: 'POST',
      body: `${parts}--b--\r\n`,
      headers: { 'content-type': 'multipart/form-data; boundary=b', 'x-api-key': key },
    });
  const part = (name: string, value: string, extra = '') =>
    `--b\r\ncontent-disposition: form-data; name="${name}"${extra}\r\n\r\n${value}\r\n`;

  it.each([
    ['a thousand fields', () => part('x', '1').repeat(1000)],
    ['a thousand files', () => part('file', '1', '; filename="f"').repeat(1000)],
    ['a large field', () => part('path', 'a'.repeat(100_000)) + part('file', '1', '; filename="f"')],
    ['a large name', () => part('n'.repeat(100_000), '1')],
    ['a large header', () => part('path', '/a', `; x="${'a'.repeat(200_000)}"`)],
    [
      'many headers',
      () => `--b\r\n${'x-h: 1\r\n'.repeat(50_000)}content-disposition: form-data; name="path"\r\n\r\n/a\r\n`,
    ],
    ['no end', () => `--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\nabc`],
  ])('refuses an upload with %s', async (_, parts) => {
    expect((await upload(parts())).status).toBeOneOf([400, 413]);
  });
});

describe('forged tokens', () => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it('of any make are refused', async () => {
    const [header = '', payload = '', mac = ''] = person.token.split('.');
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string };
    const body = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const tokens = [
      `${encode({ alg: 'none', kid })}.${payload}.`,
      `${encode({ alg: 'HS256', kid })}.${payload}.${mac}`,
      `${encode({ alg: 'EdDSA', kid: '../../etc/passwd' })}.${payload}.${mac}`,
      `${encode({ alg: 'EdDSA', kid: ['x'] })}.${payload}.${mac}`,
      `${encode({ alg: 'EdDSA' })}.${payload}.${mac}`,
      `${encode({ alg: 'EdDSA', kid, crit: ['exp'] })}.${payload}.${mac}`,
      `${encode({ alg: 'EdDSA', jwk: { kty: 'OKP', crv: 'Ed25519', x: 'A' } })}.${payload}.${mac}`,
      `${header}.${encode({ ...body, team: 'team-0' })}.${mac}`,
      `${header}.${payload}.${'A'.repeat(86)}`,
      `${header}.${payload}`,
      `${header}.${payload}.${mac}.${mac}`,
      '..',
      'a.b.c',
    ];
    for (const token of tokens) {
      expect([token, statusOf(await ask('GET /v1/capsules', `authorization: Bearer ${token}`))]).toEqual([
        token,
        401,
      ]);
    }
  });
});

describe('guessing', () => {
  const login = (email: string, password: string, headers: Record<string, string> = {}) =>
    fetch(`${strict.url}/v1/auth/login`, {
      method: 'POST',
      body: JSON.stringify({ email, password }),
      headers: { 'content-type': 'application/json', ...headers },
    });
  let inside: Client;
  let victim: Person;
  beforeAll(async () => {
    inside = createClient(strict.url, DOCUMENT);
    victim = await signUp(inside, 'target');
  });

  it('passwords is limited, whatever the client claims to be', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 5; n++) {
      const claims = {
        'x-forwarded-for': `203.0.113.${n}`,
        forwarded: `for=203.0.113.${n}`,
        'x-real-ip': `${n}.1.1.1`,
      };
      statuses.push((await login(victim.email.toUpperCase(), `wrong ${n}`, claims)).status);
    }
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await login(victim.email, victim.password)).status).toBe(429);
  });

  it('does not tell an unknown account from a wrong password, in words or time', async () => {
    const other = await signUp(inside, 'other');
    const measure = async (email: string) => {
      const started = performance.now();
      const response = await login(email, 'not the password');
      return { text: await response.text(), status: response.status, ms: performance.now() - started };
    };
    const known = [await measure(other.email), await measure(other.email)];
    const unknown = [await measure('nobody-1@example.com'), await measure('nobody-2@example.com')];
    expect(known[0]!.text).toBe(unknown[0]!.text);
    expect([known[0]!.status, unknown[0]!.status]).toEqual([401, 401]);
    // the hash is what takes the time: without it an answer is there in a fraction of it
    const best = (of: { ms: number }[]) => Math.min(...of.map(({ ms }) => ms));
    expect(best(unknown)).toBeGreaterThan(best(known) / 2);
  });

  it('who exists is limited per account', async () => {
    const as = { token: victim.token };
    const search = async () =>
      (await inside.call('searchUsers', { query: { email: 'other-1@' }, as })).status;
    const statuses = [];
    for (let n = 0; n < 4; n++) statuses.push(await search());
    const add = async (email: string) =>
      (await inside.call('addTeamMember', { params: { id: victim.teamId }, body: { email }, as })).status;
    expect(await add('no-such@example.com')).toBe(404);
    expect(statuses).toEqual([200, 200, 200, 200]);
    expect(await search()).toBe(429);
    expect(await add('no-such@example.com')).toBe(429);
  });

  it('tokens and keys is limited, and does not lock out who is known', async () => {
    const as = { key: await makeKey(inside, victim.token) };
    expect((await inside.call('listCapsules', { as })).status).toBe(200);
    const wrong = async (n: number) =>
      (
        await fetch(`${strict.url}/v1/capsules`, {
          headers: { 'x-api-key': `wrn_${String(n).padStart(32, '0')}` },
        })
      ).status;
    const statuses = new Set<number>();
    for (let n = 0; n < 45; n++) statuses.add(await wrong(n));
    expect(statuses).toEqual(new Set([401, 429]));
    expect((await inside.call('listCapsules', { as })).status).toBe(200);
  });
});

describe('what is said', () => {
  it('to nobody holds no secrets', async () => {
    for (const path of ['/metrics', '/openapi.json', '/healthz', '/docs']) {
      const text = await (await fetch(instance.url + path)).text();
      for (const secret of [key, person.token, person.email, person.teamId, capsuleId, person.userId]) {
        expect(text).not.toContain(secret);
      }
    }
    // routes are patterns: what clients sent is in no label
    const metrics = await (await fetch(`${instance.url}/metrics`)).text();
    expect(metrics).toContain('route="/v1/capsules/:id"');
    expect(metrics).not.toContain('passwd');
  });

  it('in metrics only to this machine', async () => {
    expect(statusOf(await ask('GET /metrics'))).toBe(200);
    expect(statusOf(await ask('GET /metrics', 'x-forwarded-for: 127.0.0.1'))).toBe(403);
    expect(statusOf(await ask('HEAD /metrics', 'via: 1.1 proxy'))).toBe(403);
  });

  it('as request id is only what is harmless', async () => {
    expect(statusOf(await ask('GET /v1/none', 'x-request-id: a\u001b[31m'))).toBe(400);
    const answer = await ask('GET /v1/none', 'x-request-id: {"level":60}');
    expect(answer).toMatch(/x-request-id: [0-9a-f]{16}\r\n/);
  });

  it('never was a bug', () => {
    expect(instance.bugs).toEqual([]);
    expect(strict.bugs).toEqual([]);
  });
});
