/** exec/stream, processes/{selector}/stream and pty: the cases of the wrenn contract. */
import { beforeAll, expect, it } from 'vitest';
import { headersOf } from '../client.ts';
import { connect, type Message } from '../sockets.ts';
import type { Scene } from './scene.ts';

const isType = (type: string) => (message: Message) => message.type === type;
const base64 = (text: string) => Buffer.from(text).toString('base64');

export function socketCases(scene: Scene): void {
  let id: string;
  let paused: string;
  const call: Scene['client']['call'] = (...args) => scene.client.call(...args);
  const as = () => ({ key: scene.key });

  /** Connects to an operation, and remembers what it answered as the contract client does. */
  const open = async (operation: string, params: Record<string, string> = {}, headers = headersOf(as())) => {
    const path = scene.client.pathOf(operation, { id, ...params });
    try {
      const socket = await connect(scene.instance.url + path, headers);
      scene.client.seen.add(`${operation} 101`);
      return socket;
    } catch (error) {
      scene.client.seen.add(`${operation} ${(error as { status: number }).status}`);
      throw error;
    }
  };
  const refusal = (...args: Parameters<typeof open>) => open(...args).catch((error: unknown) => error);

  beforeAll(async () => {
    const make = async () => (await call<{ id: string }>('createCapsule', { body: {}, as: as() })).body.id;
    [id, paused] = [await make(), await make()];
    await call('pauseCapsule', { params: { id: paused }, as: as() });
  });

  it('streams a command: start, output, exactly one exit, close', async () => {
    const socket = await open('execStream');
    socket.send({ type: 'start', cmd: 'sh', args: ['-c', 'echo hé; echo err >&2; printf "\\xff"; exit 7'] });
    expect((await socket.closed).code).toBe(1000);
    expect(socket.all).toEqual([
      { type: 'start', pid: expect.any(Number), tag: expect.any(String) },
      { type: 'stdout', data: 'hé\n' },
      { type: 'stderr', data: 'err\n' },
      { type: 'stdout', data: '/w==', encoding: 'base64' },
      { type: 'exit', exit_code: 7 },
    ]);
  });

  it('stops a command, and kills it when its client leaves', async () => {
    const processes = async () =>
      (await call<{ processes: object[] }>('listProcesses', { params: { id }, as: as() })).body.processes
        .length;
    const stopped = await open('execStream');
    stopped.send({ type: 'start', cmd: 'sleep', args: ['600'] });
    await stopped.next(isType('start'));
    stopped.send({ type: 'stop' });
    expect(await stopped.next(isType('exit'))).toEqual({ type: 'exit', exit_code: 137 });

    const left = await open('execStream');
    left.send({ type: 'start', cmd: 'sleep', args: ['600'] });
    await left.next(isType('start'));
    expect(await processes()).toBe(1);
    left.close();
    await expect.poll(processes).toBe(0);
  });

  it('takes input while it runs', async () => {
    const socket = await open('execStream');
    socket.send({ type: 'start', cmd: 'cat', stdin: true });
    socket.send({ type: 'stdin', data: 'one ' });
    socket.send({ type: 'stdin', data: base64('two'), encoding: 'base64' });
    socket.send({ type: 'close_stdin' });
    await socket.next(isType('exit'));
    const text = socket.all.filter(isType('stdout')).map((m) => m['data']);
    expect(text.join('')).toBe('one two');
  });

  it('carries a lot without losing any', async () => {
    const socket = await open('execStream');
    const size = 5_000_000;
    socket.send({ type: 'start', cmd: 'head', args: ['-c', String(size), '/dev/zero'] });
    await socket.closed;
    const bytes = socket.all.filter(isType('stdout')).reduce((sum, m) => sum + String(m['data']).length, 0);
    expect(bytes).toBe(size);
    expect(socket.all.at(-1)).toEqual({ type: 'exit', exit_code: 0 });
  });

  it.each([
    ['something else first', { type: 'stop' }],
    ['no command', { type: 'start' }],
    ['arguments of a wrong type', { type: 'start', cmd: 'echo', args: 'x' }],
    ['a NUL byte', { type: 'start', cmd: 'ec\u0000ho' }],
    ['a missing directory', { type: 'start', cmd: 'echo', cwd: '/not/there' }],
  ])('ends with an error for %s', async (_, message) => {
    const socket = await open('execStream');
    socket.send(message);
    expect(await socket.next(isType('error'))).toMatchObject({
      data: expect.any(String),
      code: 'invalid_request',
    });
    expect((await socket.closed).code).toBe(1008);
  });

  it('follows a background process, also after its end', async () => {
    const body = { cmd: 'sh', args: ['-c', 'echo early; cat'], background: true, tag: 'followed' };
    await call('execCommand', { params: { id }, body, as: as() });
    const first = await open('connectProcess', { selector: 'followed' });
    const started = await first.next(isType('start'));
    expect(await first.next(isType('stdout'))).toEqual({ type: 'stdout', data: 'early\n' });
    expect(await first.next(isType('exit'))).toEqual({ type: 'exit', exit_code: 0 });
    const later = await open('connectProcess', { selector: String(started['pid']) });
    await later.closed;
    expect(later.all.map(({ type }) => type)).toEqual(['start', 'stdout', 'exit']);
  });

  it('only listens to a process it did not start', async () => {
    const body = { cmd: 'sleep', args: ['600'], background: true, tag: 'theirs' };
    await call('execCommand', { params: { id }, body, as: as() });
    const socket = await open('connectProcess', { selector: 'theirs' });
    await socket.next(isType('start'));
    socket.send({ type: 'stop' });
    await socket.next(isType('error'));
    expect((await call('killProcess', { params: { id, selector: 'theirs' }, as: as() })).status).toBe(204);
  });

  it('is a terminal that survives its connection', async () => {
    const socket = await open('ptySession');
    socket.send({ type: 'start', cmd: '/bin/sh', cols: 100, rows: 40 });
    const started = await socket.next(isType('started'));
    expect(started['tag']).toMatch(/^pty-[0-9a-f]{8}$/);
    const output = (all: Message[]) =>
      all
        .filter(isType('output'))
        .map((m) => Buffer.from(String(m['data']), 'base64').toString())
        .join('');
    socket.send({ type: 'input', data: base64('stty size\n') });
    await expect.poll(() => output(socket.all)).toContain('40 100');
    socket.send({ type: 'resize', cols: 80, rows: 25 });
    socket.send({ type: 'input', data: base64('stty size\n') });
    await expect.poll(() => output(socket.all)).toContain('25 80');
    socket.close();
    await socket.closed;

    const again = await open('ptySession');
    again.send({ type: 'connect', tag: started['tag'] });
    expect(await again.next(isType('started'))).toEqual(started);
    await expect.poll(() => output(again.all)).toContain('25 80');
    again.send({ type: 'input', data: base64('exit 5\n') });
    expect(await again.next(isType('exit'))).toEqual({ type: 'exit', exit_code: 5 });
    expect((await again.closed).code).toBe(1000);
  });

  it('takes a pasted megabyte and a kill', async () => {
    const socket = await open('ptySession');
    socket.send({ type: 'start' });
    await socket.next(isType('started'));
    const paste = 'x'.repeat(1024 * 1024);
    socket.send({ type: 'input', data: base64(paste) });
    const size = () =>
      socket.all
        .filter(isType('output'))
        .reduce((sum, m) => sum + Buffer.from(String(m['data']), 'base64').length, 0);
    await expect.poll(size, { timeout: 5000 }).toBe(paste.length);
    socket.send({ type: 'kill' });
    expect(await socket.next(isType('exit'))).toEqual({ type: 'exit', exit_code: 137 });
  });

  it.each([
    ['no tag', { type: 'connect' }, 'invalid_request'],
    ['an unknown tag', { type: 'connect', tag: 'pty-none' }, 'not_found'],
    ['no rows', { type: 'start', rows: 0 }, 'invalid_request'],
    ['another first message', { type: 'input', data: '' }, 'invalid_request'],
  ])('ends a terminal with a fatal error for %s', async (_, message, code) => {
    const socket = await open('ptySession');
    socket.send(message);
    expect(await socket.next(isType('error'))).toMatchObject({ fatal: true, code });
    await socket.closed;
  });

  it('takes the credential as first message from browsers', async () => {
    for (const credential of [{ api_key: scene.key }, { token: scene.owner.token }]) {
      const socket = await open('execStream', {}, {});
      socket.send({ type: 'auth', ...credential });
      socket.send({ type: 'start', cmd: 'echo', args: ['hello'] });
      expect(await socket.next(isType('stdout'))).toEqual({ type: 'stdout', data: 'hello\n' });
      await socket.closed;
    }
    const wrong = await open('execStream', {}, {});
    wrong.send({ type: 'auth', api_key: 'wrn_wrong' });
    expect(await wrong.next(isType('error'))).toMatchObject({ code: 'unauthorized' });
    expect((await wrong.closed).code).toBe(1008);
    const other = await open('execStream', {}, {});
    other.send({ type: 'auth', api_key: scene.strangerKey });
    expect(await other.next(isType('error'))).toMatchObject({ code: 'not_found' });
  });

  it('refuses before the upgrade what it can', async () => {
    for (const operation of ['execStream', 'ptySession', 'connectProcess']) {
      const params = { selector: 'none' };
      expect(await refusal(operation, { ...params, id: 'cl-unknown' })).toMatchObject({ status: 404 });
      expect(await refusal(operation, { ...params, id: paused })).toMatchObject({
        status: 409,
        body: { error: { code: 'invalid_state' } },
      });
      expect(await refusal(operation, params, { 'x-api-key': 'wrn_wrong' })).toMatchObject({ status: 401 });
      const plain = await call<{ error: { code: string } }>(operation, {
        params: { id, ...params },
        as: as(),
      });
      expect([plain.status, plain.body.error.code]).toEqual([426, 'upgrade_required']);
    }
    expect(await refusal('connectProcess', { selector: 'none' })).toMatchObject({ status: 404 });
  });

  it('ends the session when the capsule dies', async () => {
    const { body } = await call<{ id: string }>('createCapsule', { body: {}, as: as() });
    const socket = await open('execStream', { id: body.id });
    socket.send({ type: 'start', cmd: 'sleep', args: ['600'] });
    await socket.next(isType('start'));
    scene.instance.host.kill(body.id, 'killed by a test');
    expect(await socket.next(isType('error'))).toMatchObject({ code: 'agent_error' });
    await socket.closed;
  });
}
