/** Commands that are waited for: cases 37-53 of the behaviour reference, through HTTP in a real microVM. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box, ExecResult, Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';

let product: Product;
let box: Box;
beforeAll(async () => {
  product = await startProduct();
  box = product.api.capsule((await product.api.create()).id);
});
afterAll(() => product?.close());

const run = async (cmd: string, args: string[] = [], more: object = {}) =>
  (await box.exec({ cmd, args, ...more })).body;
const refused = async (request: Parameters<Box['exec']>[0]) => {
  const { status, body } = await box.exec<Failure>(request);
  return [status, body.error.code];
};
const named = async (word: string) =>
  (await box.processes()).filter(({ cmd, args }) => [cmd, ...args].join(' ').includes(word));

describe('exec', () => {
  it('case 37: echo', async () => {
    const result = await run('echo', ['Hello']);
    expect(result).toMatchObject({
      sandbox_id: box.id,
      cmd: 'echo',
      stdout: 'Hello\n',
      stderr: '',
      exit_code: 0,
      encoding: 'utf-8',
      timed_out: false,
      truncated: false,
    });
    expect(result.duration_ms).toBeGreaterThanOrEqual(0);
  });

  it('case 38: special characters and lines arrive unchanged', async () => {
    const odd = ['!@#$%^&*()_+', 'two\nlines\n', 'it\'s "quoted"', '`id` $(id) $HOME', 'grüße 🦜', '', '-n'];
    const { stdout } = await run('printf', ['%s|', ...odd]);
    expect(stdout).toBe(odd.map((text) => `${text}|`).join(''));
  });

  it('case 39: stderr and the exit code', async () => {
    const result = await run('sh', ['-c', 'echo err >&2; exit 42']);
    expect(result).toMatchObject({ stdout: '', stderr: 'err\n', exit_code: 42 });
    expect((await run('sh', ['-c', 'kill -TERM $$'])).exit_code).toBe(143);
  });

  it('case 40: bytes that are no text come as base64, exactly', async () => {
    const result = await run('printf', ['\\000\\377\\200']);
    expect(result.encoding).toBe('base64');
    expect(Buffer.from(result.stdout, 'base64')).toEqual(Buffer.from([0, 0xff, 0x80]));
  });

  it('case 41: cmd is a program, not a shell line', async () => {
    expect((await run('echo', ['a b', '$HOME', ';', 'id', '|', 'cat'])).stdout).toBe(
      'a b $HOME ; id | cat\n',
    );
    expect((await run('echo hello')).exit_code).toBe(127);
  });

  it('case 42: a program that is not there is 127 with a sentence, one that may not run 126', async () => {
    const missing = await run('no-such-program');
    expect(missing.exit_code).toBe(127);
    expect(missing.stderr).toContain('no-such-program');
    expect((await run('/etc/passwd')).exit_code).toBe(126);
  });

  it('case 43: cwd is honoured; missing, deleted and forbidden ones are refused before the start', async () => {
    expect((await run('pwd', [], { cwd: '/usr/lib' })).stdout).toBe('/usr/lib\n');
    await box.sh('mkdir -p /tmp/gone && cd /tmp/gone && rmdir /tmp/gone');
    for (const cwd of ['/no/such', '/tmp/gone', '/etc/passwd']) {
      expect(await refused({ cmd: 'touch', args: ['/tmp/started'], cwd })).toEqual([400, 'invalid_request']);
    }
    expect(await refused({ cmd: 'touch', args: ['/tmp/started'], cwd: '/root', user: 'user' })).toEqual([
      400,
      'invalid_request',
    ]);
    expect((await run('ls', ['/tmp/started'])).exit_code).not.toBe(0);
  });

  it('case 44: envs are seen by that command only', async () => {
    const envs = { GREETING: 'a=b c', EMPTY: '' };
    expect((await run('sh', ['-c', 'echo "$GREETING|$EMPTY|"'], { envs })).stdout).toBe('a=b c||\n');
    expect((await run('sh', ['-c', 'env | grep -c GREETING || true'])).stdout).toBe('0\n');
    for (const name of ['', 'A=B']) {
      expect(await refused({ cmd: 'env', envs: { [name]: 'x' } })).toEqual([400, 'invalid_request']);
    }
  });

  it('case 45: a timeout is typed, in time, keeps what was said, and ends the whole tree', async () => {
    const started = performance.now();
    const { status, body } = await box.exec<ExecResult & Failure>({
      cmd: 'sh',
      args: ['-c', 'echo before; sleep 4545 & sleep 4546; echo after'],
      timeout_sec: 1,
    });
    expect(performance.now() - started).toBeLessThan(1500);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      stdout: 'before\n',
      exit_code: 124,
      timed_out: true,
      error: { code: 'timeout' },
    });
    expect(await named('sleep 454')).toEqual([]);
    for (const timeout_sec of [0, -1, 86_401, 1.5]) {
      expect(await refused({ cmd: 'true', timeout_sec })).toEqual([400, 'invalid_request']);
    }
  });

  it('case 46: without stdin a reader gets its end at once; with it, the text', async () => {
    expect((await run('sh', ['-c', 'read x'])).exit_code).toBe(1);
    expect((await run('cat', [], { stdin: 'given\n' })).stdout).toBe('given\n');
    const big = 'x'.repeat(1_000_000);
    expect((await run('wc', ['-c'], { stdin: big })).stdout.trim()).toBe('1000000');
  });

  it('case 47: a heredoc', async () => {
    expect(await box.sh('cat <<END\nline $((1 + 1))\nEND')).toBe('line 2\n');
  });

  it('case 48: it ends with its process, not with those that hold its pipes', async () => {
    const started = performance.now();
    expect(await box.sh('sleep 4848 & echo hi')).toBe('hi\n');
    expect(performance.now() - started).toBeLessThan(2000);
    // the shell's child has become sleep a moment later, and lives on
    await expect.poll(() => named('sleep 4848')).toMatchObject([{ cmd: 'sleep', tag: '' }]);
    const [left] = await named('sleep 4848');
    expect((await box.kill(left!.pid)).status).toBe(204);
  });

  it('case 49: endless output is cut with a flag, memory stays flat, the command ends by itself', async () => {
    const rss = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${product.pid}/status`, 'utf8'))?.[1]) / 1024;
    const before = rss();
    const result = await run('sh', ['-c', 'head -c 104857600 /dev/zero | tr "\\0" y; echo done >&2; exit 3']);
    expect(result).toMatchObject({ truncated: true, exit_code: 3, stderr: 'done\n', encoding: 'utf-8' });
    expect(result.stdout.length).toBe(16 * 1024 * 1024);
    expect(rss() - before).toBeLessThan(300);
  });

  it('case 50: 20 at once do not mix', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => box.sh(`for n in 1 2 3 4 5; do echo ${i}; done; echo ${i} >&2`)),
    );
    expect(all).toEqual(all.map((_, i) => `${i}\n`.repeat(5)));
  });

  it('cases 52 and 53: a client that leaves ends its command, whenever it leaves; the next one works', async () => {
    for (let round = 0; round < 20; round++) {
      const leave = new AbortController();
      const left = product.api.raw(`${box.path}/exec`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ cmd: 'sh', args: ['-c', 'yes yes-5253; true'], timeout_sec: 60 }),
        signal: leave.signal,
      });
      if (round >= 10) await expect.poll(() => named('yes-5253'), { interval: 5 }).not.toEqual([]);
      else for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
      leave.abort();
      await expect(left).rejects.toMatchObject({ name: 'AbortError' });
      await expect.poll(() => named('yes-5253'), { interval: 10 }).toEqual([]);
    }
    expect(await box.sh('echo fine')).toBe('fine\n');
  });

  it('runs as the user asked for; the default is root', async () => {
    expect(await box.sh('id -un; pwd')).toBe('root\n/root\n');
    expect(await box.sh('id -un; pwd', { user: 'user' })).toBe('user\n/home/user\n');
    expect(await refused({ cmd: 'id', user: 'nobody-has-this' })).toEqual([400, 'invalid_request']);
  });

  it('refuses what cannot be argv, and takes a megabyte that can', async () => {
    const bad: Parameters<Box['exec']>[0][] = [
      { cmd: '' },
      { cmd: 'a\u0000b' },
      { cmd: 'echo', args: ['a\u0000b'] },
      { cmd: 'echo', args: ['\ud800'] },
      { cmd: 'echo', cwd: '/a\u0000' },
      { cmd: 'echo', args: ['x'.repeat(1_000_000)] },
      { cmd: 'x'.repeat(1_000_000) },
      { cmd: 'echo', args: Array.from({ length: 5000 }, () => 'x') },
    ];
    for (const request of bad) expect(await refused(request)).toEqual([400, 'invalid_request']);
    const pieces = Array.from({ length: 10 }, (_, i) => String(i).repeat(100_000));
    expect((await run('sh', ['-c', 'printf %s "$@" | wc -c', 'sh', ...pieces])).stdout.trim()).toBe(
      '1000000',
    );
    const deep = await product.api.raw(`${box.path}/exec`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"cmd":"true","args":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
    });
    expect(deep.status).toBe(400);
    expect(await box.sh('echo fine')).toBe('fine\n');
  });
});
