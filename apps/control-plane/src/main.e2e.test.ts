/** The program itself, as a person or a service manager runs it: over the mock, with its own PostgreSQL. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const run = promisify(execFile);

interface Running {
  child: ChildProcess;
  url: string;
  stdout(): string;
  stderr(): string;
  exit: Promise<number | null>;
}

let dir: string;
const started: Running[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aviary-main-'));
});
afterAll(async () => {
  for (const { child, exit } of started) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exit;
  }
  rmSync(dir, { recursive: true, force: true });
});

const env = (data: string, listen = '127.0.0.1:0') => ({
  PATH: process.env['PATH'] ?? '',
  HOME: dir,
  AVIARY_DATA: data,
  AVIARY_LISTEN: listen,
  AVIARY_DRIVER: 'mock',
});
const launch = (...args: Parameters<typeof env>) =>
  spawn(process.execPath, ['--import', 'tsx', MAIN], {
    env: env(...args),
    stdio: ['ignore', 'pipe', 'pipe'],
  });

async function start(data: string): Promise<Running> {
  const child = launch(data);
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  const ready = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      stdout += chunk;
      const url = stdout.match(/ready at (http:\S+)/)?.[1];
      // the text is complete when its last line is
      if (url !== undefined && stdout.endsWith('\n')) resolve(url);
    });
    exit.then((code) => reject(new Error(`it ended with ${code}: ${stderr}`)));
  });
  const running: Running = { child, url: '', stdout: () => stdout, stderr: () => stderr, exit };
  started.push(running);
  return Object.assign(running, { url: await ready });
}

async function attempt(data: string, listen?: string): Promise<{ code: number | null; stderr: string }> {
  const child = launch(data, listen);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, stderr };
}

/** True once nobody new gets in. */
const refused = async (url: string) => {
  const answer = await fetch(url).catch(() => null);
  return answer === null || answer.status === 503;
};

it('starts, shows a line that works when pasted, refuses a second one, and ends in order', async () => {
  const data = join(dir, 'data');
  const first = await start(data);
  expect((await fetch(`${first.url}/healthz`)).status).toBe(200);
  const metrics = await (await fetch(`${first.url}/metrics`)).text();
  expect(metrics).toContain('aviary_capsules');
  expect(metrics).toContain('process_resident_memory_bytes');

  const line = first.stdout().match(/^A=http.*$/m)?.[0];
  for (let pasted = 0; pasted < 2; pasted++) {
    const { stdout } = await run('sh', ['-c', line ?? 'false'], { env: { ...process.env, HOME: dir } });
    expect(JSON.parse(stdout)).toMatchObject({ exit_code: 0, stdout: expect.stringContaining('Linux') });
  }

  const second = await attempt(data);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`${data} is in use by process ${first.child.pid}`);
  const port = await attempt(join(dir, 'other'), new URL(first.url).host);
  expect(port.code).toBe(1);
  expect(port.stderr).toContain('in use by another program');

  // what is under way when the signal comes is finished, not cut off
  const password = (await run('cat', [join(dir, '.aviary-password')])).stdout.trim();
  const post = async (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(first.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const login = (await (await post('/v1/auth/login', { email: 'me@example.com', password })).json()) as {
    token: string;
  };
  const as = { authorization: `Bearer ${login.token}` };
  const capsule = (await (await post('/v1/capsules', {}, as)).json()) as { id: string };
  const slow = post(`/v1/capsules/${capsule.id}/exec`, { cmd: 'sleep', args: ['1'] }, as);
  const processes = async () =>
    (
      (await (await fetch(`${first.url}/v1/capsules/${capsule.id}/processes`, { headers: as })).json()) as {
        processes: [];
      }
    ).processes.length;
  await expect.poll(processes).toBe(1);
  // twice, as a service manager does that tells the whole group and the process
  first.child.kill('SIGTERM');
  await expect.poll(() => refused(`${first.url}/healthz`)).toBe(true);
  first.child.kill('SIGTERM');
  expect(await (await slow).json()).toMatchObject({ exit_code: 0 });
  // and what is idle by then is not waited for: the drain would take 10 s
  const answered = performance.now();
  expect(await first.exit).toBe(0);
  expect(performance.now() - answered).toBeLessThan(5000);

  const again = await start(data);
  expect(again.stdout().trim().split('\n').length).toBe(1);
  again.child.kill('SIGKILL');
  await again.exit;

  // a lock that nobody holds any more, and a PostgreSQL that nobody supervises
  const after = await start(data);
  const response = await fetch(`${after.url}/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'me@example.com', password }),
  });
  expect(response.status).toBe(200);
});

it('ends in order when told to while it starts', async () => {
  const data = join(dir, 'early');
  const child = launch(data, '127.0.0.1:0');
  // its own PostgreSQL is being made: there is something to leave behind
  await expect.poll(() => existsSync(join(data, 'postgres')), { timeout: 20_000 }).toBe(true);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
  expect(await run('pgrep', ['-f', data]).catch(() => null)).toBe(null);
});

it('tells how to make the first account until there is one', async () => {
  const data = join(dir, 'nobody');
  const first = await start(data);
  first.child.kill('SIGTERM');
  expect(await first.exit).toBe(0);
  const again = await start(data);
  for (const { stdout } of [first, again]) expect(stdout()).toContain('/v1/auth/signup');
});

it('does not wait for what is under way at a second Ctrl-C', async () => {
  const running = await start(join(dir, 'impatient'));
  const socket = connect(Number(new URL(running.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  // a request that never ends keeps the drain waiting
  socket.write(
    'POST /v1/auth/login HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n',
  );
  await once(socket, 'data'); // "100 Continue": it waits for the body
  running.child.kill('SIGINT');
  await expect.poll(() => refused(`${running.url}/healthz`)).toBe(true);
  // as late as a person's second one
  await expect
    .poll(
      () => {
        running.child.kill('SIGINT');
        return running.child.exitCode;
      },
      { interval: 100, timeout: 5000 },
    )
    .toBe(1);
  socket.destroy();
});

it('prints help and settings without starting', async () => {
  const help = await run(process.execPath, ['--import', 'tsx', MAIN, '--help'], { env: env(dir) });
  expect(help.stdout).toContain('AVIARY_LISTEN');
  const config = await run(process.execPath, ['--import', 'tsx', MAIN, 'config'], { env: env(dir) });
  expect(config.stdout).toMatch(/AVIARY_DRIVER +mock +\(environment\)/);
  const wrong = await run(process.execPath, ['--import', 'tsx', MAIN, 'dance'], { env: env(dir) }).catch(
    (e) => e,
  );
  expect([wrong.code, wrong.stderr]).toEqual([2, 'unknown argument dance; try --help\n']);
});
