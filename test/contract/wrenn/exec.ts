/** exec and processes: the cases of the wrenn contract. */
import { AviaryError } from '@aviary/kernel';
import { beforeAll, expect, it } from 'vitest';
import type { Scene } from './scene.ts';

interface Result {
  stdout: string;
  stderr: string;
  exit_code: number;
  [field: string]: unknown;
}

export function execCases(scene: Scene): void {
  const call: Scene['client']['call'] = (...args) => scene.client.call(...args);
  let id: string;
  const exec = <T = Result>(body: object) =>
    call<T>('execCommand', { params: { id }, body, as: { key: scene.key } });
  const paused = async () => {
    const { body } = await call<{ id: string }>('createCapsule', { body: {}, as: { key: scene.key } });
    await call('pauseCapsule', { params: { id: body.id }, as: { key: scene.key } });
    return body.id;
  };

  beforeAll(async () => {
    const body = { envs: { FROM: 'capsule' } };
    id = (await call<{ id: string }>('createCapsule', { body, as: { key: scene.key } })).body.id;
  });

  it('runs argv, not a shell line', async () => {
    const { status, body } = await exec({ cmd: 'echo', args: ['$HOME;  exit 3', '`id`'] });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      sandbox_id: id,
      cmd: 'echo',
      stdout: '$HOME;  exit 3 `id`\n',
      stderr: '',
      exit_code: 0,
      encoding: 'utf-8',
      timed_out: false,
      truncated: false,
    });
  });

  it('honours envs, cwd, user and stdin in the foreground', async () => {
    const script = 'echo $FROM $MORE; pwd; whoami; cat';
    const { body } = await exec({
      cmd: 'sh',
      args: ['-c', script],
      envs: { MORE: 'call' },
      cwd: '/tmp',
      user: 'root',
      stdin: 'input',
    });
    expect(body.stdout).toBe('capsule call\n/tmp\nroot\ninput');
  });

  it('answers a timeout with what there is', async () => {
    const { status, body } = await exec({ cmd: 'sh', args: ['-c', 'echo part; sleep 60'], timeout_sec: 1 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      stdout: 'part\n',
      exit_code: 124,
      timed_out: true,
      error: { code: 'timeout' },
    });
  });

  it('answers 127 for a command that is not there, bytes as base64', async () => {
    expect((await exec({ cmd: 'no-such-command' })).body).toMatchObject({ exit_code: 127 });
    expect((await exec({ cmd: 'printf', args: ['\\x00\\xff'] })).body).toMatchObject({
      stdout: 'AP8=',
      encoding: 'base64',
    });
  });

  it.each([
    [{}, 'cmd'],
    [{ cmd: '' }, 'cmd'],
    [{ cmd: 'echo', args: 'x' }, 'args'],
    [{ cmd: 'echo', args: [1] }, 'args[0]'],
    [{ cmd: 'echo', args: ['a\u0000'] }, 'args[0]'],
    [{ cmd: 'echo', timeout_sec: 0 }, 'timeout_sec'],
    [{ cmd: 'echo', timeout_sec: 86_401 }, 'timeout_sec'],
    [{ cmd: 'echo', envs: { 'A=B': 'x' } }, 'envs'],
    [{ cmd: 'echo', cwd: '/not/there' }, 'cwd'],
    [{ cmd: 'echo', user: 'nobody-here' }, 'user'],
    [{ cmd: 'echo', background: true, tag: '123' }, 'tag'],
    [{ cmd: 'echo', background: true, tag: 'a b' }, 'tag'],
    [{ cmd: 'echo', background: 'yes' }, 'background'],
  ])('refuses %j and names the field', async (body, field) => {
    const answer = await exec<{ error: { code: string; message: string } }>(body);
    expect([answer.status, answer.body.error.code]).toEqual([400, 'invalid_request']);
    expect(answer.body.error.message).toContain(field);
  });

  it('starts in the background, lists and kills', async () => {
    const as = { key: scene.key };
    const started = await exec<{ pid: number; tag: string }>({
      cmd: 'sleep',
      args: ['600'],
      background: true,
    });
    expect(started.status).toBe(202);
    expect(started.body.tag).toMatch(/^proc-[0-9a-f]{8}$/);
    const tagged = { cmd: 'sleep', args: ['601'], background: true, tag: 'mine' };
    expect((await exec(tagged)).status).toBe(202);
    expect((await exec(tagged)).status).toBe(409);
    const list = await call<{ processes: object[] }>('listProcesses', { params: { id }, as });
    expect(list.body.processes).toEqual([
      { pid: started.body.pid, tag: started.body.tag, cmd: 'sleep', args: ['600'] },
      { pid: expect.any(Number), tag: 'mine', cmd: 'sleep', args: ['601'] },
    ]);
    const kill = async (selector: string, query?: Record<string, string>) =>
      (await call('killProcess', { params: { id, selector }, ...(query && { query }), as })).status;
    expect(await kill('mine', { signal: 'SIGINT' })).toBe(400);
    expect(await kill('mine', { signal: 'SIGTERM' })).toBe(204);
    expect(await kill(String(started.body.pid))).toBe(204);
    expect(await kill('mine')).toBe(404);
    expect(
      (await call<{ processes: object[] }>('listProcesses', { params: { id }, as })).body.processes,
    ).toEqual([]);
  });

  it('refuses in a paused capsule and in one that is not there', async () => {
    const as = { key: scene.key };
    const body = { cmd: 'true' };
    for (const [where, expected] of [
      [await paused(), 409],
      ['cl-unknown', 404],
    ] as const) {
      const params = { id: where, selector: '1' };
      expect((await call('execCommand', { params, body, as })).status).toBe(expected);
      expect((await call('listProcesses', { params, as })).status).toBe(expected);
      expect((await call('killProcess', { params, as })).status).toBe(expected);
    }
  });

  it('says 502 when the capsule dies under the command', async () => {
    const { body } = await call<{ id: string }>('createCapsule', { body: {}, as: { key: scene.key } });
    const pending = call<{ error: { code: string } }>('execCommand', {
      params: { id: body.id },
      body: { cmd: 'sleep', args: ['600'] },
      as: { key: scene.key },
    });
    const processes = async () =>
      (
        await call<{ processes: object[] }>('listProcesses', {
          params: { id: body.id },
          as: { key: scene.key },
        })
      ).body;
    await expect.poll(async () => (await processes()).processes.length).toBe(1);
    scene.instance.host.kill(body.id, 'killed by a test');
    const answer = await pending;
    expect([answer.status, answer.body.error.code]).toEqual([502, 'agent_error']);
  });

  it('keeps 20 parallel commands apart', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => exec({ cmd: 'echo', args: [`n${i}`] })),
    );
    expect(answers.map(({ body }) => body.stdout)).toEqual(Array.from({ length: 20 }, (_, i) => `n${i}\n`));
  });

  it('passes on what the guest reports', async () => {
    scene.instance.host.script.failNext(
      'guest.exec',
      new AviaryError('capsule_lost', 'the agent does not answer'),
    );
    expect((await exec({ cmd: 'true' })).status).toBe(502);
  });
}
