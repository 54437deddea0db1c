/**
 * What a capsule reaches, and what it does not: DNS and TCP to a machine with a public-looking address, which
 * is a network namespace of the test's own; never the host, private networks, metadata, or another capsule.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';

const NETNS = `aviary-test-${process.pid}`;
const LINK = `avt${process.pid}`;
/** TEST-NET-3 (RFC 5737): public to every rule, and nobody's. */
const SERVER = '203.0.113.2';
const HOST_SIDE = '203.0.113.1';

let product: Product;
let box: Box;
let hostServer: Server;
let hostPort: number;
const undo: (() => unknown)[] = [];

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

/** A server outside: answers over TCP with what it saw. */
const SERVING = `
const server = require('node:net').createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', (data) => socket.end('seen:' + data));
});
server.listen(8080, '${SERVER}', () => console.log('up'));
`;

beforeAll(async () => {
  ip('netns', 'add', NETNS);
  undo.push(() => ip('netns', 'delete', NETNS));
  ip('link', 'add', LINK, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NETNS);
  ip('addr', 'add', `${HOST_SIDE}/30`, 'dev', LINK);
  ip('link', 'set', LINK, 'up');
  ip('-n', NETNS, 'addr', 'add', `${SERVER}/30`, 'dev', 'eth0');
  ip('-n', NETNS, 'link', 'set', 'eth0', 'up');
  ip('-n', NETNS, 'link', 'set', 'lo', 'up');
  const server = spawn('ip', ['netns', 'exec', NETNS, process.execPath, '-e', SERVING], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  undo.push(() => server.kill('SIGKILL'));
  await once(server.stdout, 'data');
  hostServer = createServer((socket) => socket.end('the host answered'));
  hostServer.listen(0, '0.0.0.0');
  await once(hostServer, 'listening');
  hostPort = (hostServer.address() as { port: number }).port;
  undo.push(() => hostServer.close());
  product = await startProduct();
  box = product.api.capsule((await product.api.create()).id);
});
afterAll(async () => {
  try {
    await product?.close();
  } finally {
    for (const step of undo.reverse()) await step();
  }
});

/** Connects, says hello, tells what came back or why not, and after how long. */
const TALK = `
import socket, sys, time
start = time.time()
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
    s.sendall(b'hello')
    print(s.recv(100).decode())
except Exception as e:
    print('refused', type(e).__name__, round(time.time() - start, 1))
`;
const talk = async (from: Box, host: string, port: number) => {
  const { body } = await from.exec({ cmd: 'python3', args: ['-c', TALK, host, String(port)] });
  return body.stdout.trim();
};

describe('egress', () => {
  it('reaches public addresses over TCP', async () => {
    expect(await talk(box, SERVER, 8080)).toBe('seen:hello');
  });

  it('is refused at once by everything that is not public', { timeout: 90_000 }, async () => {
    const gateway = execFileSync('ip', ['-4', '-o', 'addr', 'show'], { encoding: 'utf8' })
      .split('\n')
      .map((line) => /inet (\d+\.\d+\.\d+\.\d+)\//.exec(line)?.[1])
      .filter((address): address is string => address !== undefined && address !== '127.0.0.1');
    const targets = [
      ...gateway.map((address) => [address, hostPort]),
      [HOST_SIDE, hostPort],
      ['10.0.2.2', hostPort],
      ['169.254.169.254', 80],
      ['10.1.2.3', 80],
      ['192.168.1.1', 80],
      ['172.16.0.1', 80],
      ['100.64.0.1', 80],
    ] as [string, number][];
    for (const [address, port] of targets) {
      const answer = await talk(box, address, port);
      expect([address, answer]).toEqual([address, expect.stringMatching(/^refused \w+ [01]\.\d$/)]);
    }
  });

  it('does not see another capsule', async () => {
    const other = product.api.capsule((await product.api.create()).id);
    await other.spawn({ cmd: 'python3', args: ['-m', 'http.server', '7777'], tag: 'web' });
    const up = () => other.sh('curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:7777/ || true');
    await expect.poll(up).toBe('200');
    // all guests have the same address in a network of their own: this is the capsule itself, where nothing listens
    for (const address of ['10.0.2.15', '10.0.2.2', '10.0.2.3']) {
      expect(await talk(box, address, 7777)).toMatch(/^refused/);
    }
    await other.destroy();
  });

  it("asks the machine's name servers", async () => {
    const { body } = await box.exec({
      cmd: 'python3',
      args: ['-c', 'import socket, sys; print(socket.gethostbyname(sys.argv[1]))', await publicName()],
      timeout_sec: 20,
    });
    const { body: host } = await hostLookup();
    // the same answer as the machine's own, whatever that is
    expect(body.exit_code === 0).toBe(host !== null);
  });

  it('still reaches out after a pause', async () => {
    expect((await box.pause()).status).toBe(200);
    expect((await box.resume()).status).toBe(200);
    expect(await talk(box, SERVER, 8080)).toBe('seen:hello');
    expect(await talk(box, HOST_SIDE, hostPort)).toMatch(/^refused/);
  });
});

async function hostLookup(): Promise<{ body: string | null }> {
  const { lookup } = await import('node:dns/promises');
  return {
    body: await lookup(await publicName()).then(
      ({ address }) => address,
      () => null,
    ),
  };
}

/** A name that this machine needs to resolve anyway: its Debian mirror's. */
async function publicName(): Promise<string> {
  const { stdout } = await promisify(execFile)('apt-get', ['indextargets', '--format', '$(REPO_URI)']);
  const name = /https?:\/\/([^/:\s]+)/.exec(stdout)?.[1];
  if (name === undefined) throw new Error('this machine has no Debian mirror');
  return name;
}
