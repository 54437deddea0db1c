/** Capsules and snapshots: the cases of the wrenn contract and of our additions to it. */
import { AviaryError } from '@aviary/kernel';
import { expect, it } from 'vitest';
import type { Answer } from '../client.ts';
import type { Scene } from './scene.ts';

interface Wire {
  id: string;
  status: string;
  [field: string]: unknown;
}

export function capsuleCases(scene: Scene): void {
  const call: Scene['client']['call'] = (...args) => scene.client.call(...args);
  const status = async (...args: Parameters<typeof call>) => (await call(...args)).status;
  const code = async (...args: Parameters<typeof call>) => {
    const { status, body } = await call<{ error: { code: string } }>(...args);
    return `${status} ${body.error.code}`;
  };
  const mine = () => ({ key: scene.key });
  const create = async (body: object = {}) => (await call<Wire>('createCapsule', { body, as: mine() })).body;

  it('creates with the defaults of the contract', async () => {
    const made = await call<Wire>('createCapsule', { body: {}, as: mine() });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      status: 'running',
      template: 'minimal',
      vcpus: 1,
      memory_mb: 512,
      timeout_sec: 0,
      status_reason: null,
      metadata: {},
    });
    expect(made.body.id).toMatch(/^cl-[0-9a-z]{25}$/);
  });

  it('takes sizes, labels and a token instead of a key', async () => {
    const body = { vcpus: 2, memory_mb: 256, timeout_sec: 60, metadata: { app: 'web' }, unknown_field: 1 };
    const made = await call<Wire>('createCapsule', { body, as: { token: scene.owner.token } });
    expect(made.body).toMatchObject({ vcpus: 2, memory_mb: 256, timeout_sec: 60, metadata: { app: 'web' } });
    const same = await call<Wire>('getCapsule', { params: { id: made.body.id }, as: mine() });
    expect(same.body.id).toBe(made.body.id);
  });

  it.each([
    [{ vcpus: 0 }, 'vcpus'],
    [{ vcpus: 1.5 }, 'vcpus'],
    [{ memory_mb: 1 }, 'memory'],
    [{ memory_mb: 1e9 }, 'memory'],
    [{ timeout_sec: -1 }, 'timeout'],
    [{ template: 'no such/name' }, 'template'],
    [{ envs: { A: 1 } }, 'envs.A'],
    [{ metadata: 'x' }, 'metadata'],
  ])('refuses %j and names the field', async (body, field) => {
    const answer = await call<{ error: { message: string } }>('createCapsule', { body, as: mine() });
    expect(answer.status).toBe(400);
    expect(answer.body.error.message).toContain(field);
  });

  it('tells a missing template, a failing host and a full one apart', async () => {
    expect(await code('createCapsule', { body: { template: 'nothing' }, as: mine() })).toBe('404 not_found');
    const { script } = scene.instance.host;
    script.failNext('create', new AviaryError('capsule_lost', 'the machine ended while it started'));
    expect(await code('createCapsule', { body: {}, as: mine() })).toBe('502 agent_error');
    script.failNext('create', new AviaryError('host_unavailable', 'the host does not answer'));
    expect(await code('createCapsule', { body: {}, as: mine() })).toBe('503 host_unavailable');
  });

  it('lists what lives, newest first, in pages that agree', async () => {
    const labels = { run: 'pages' };
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await create({ metadata: labels })).id);
    const query = { metadata: 'run=pages', limit: '2' };
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Answer<Wire[]> = await call<Wire[]>('listCapsules', {
        query: cursor === '' ? query : { ...query, cursor },
        as: mine(),
      });
      seen.push(...page.body.map(({ id }) => id));
      cursor = page.headers.get('x-next-cursor');
      if (cursor !== null) expect(page.headers.get('link')).toContain('rel="next"');
    }
    expect(seen).toEqual(ids);
    expect(await status('listCapsules', { query: { cursor: 'garbage' }, as: mine() })).toBe(400);
    expect(await status('listCapsules', { query: { limit: '0' }, as: mine() })).toBe(400);
    const others = await call<Wire[]>('listCapsules', { as: { key: scene.strangerKey } });
    expect(others.body).toEqual([]);
  });

  it('destroys: gone from the list, still readable', async () => {
    const { id } = await create();
    expect(await status('destroyCapsule', { params: { id }, as: mine() })).toBe(204);
    const read = await call<Wire>('getCapsule', { params: { id }, as: mine() });
    expect([read.status, read.body.status]).toEqual([200, 'stopped']);
    const list = await call<Wire[]>('listCapsules', { as: mine() });
    expect(list.body.map((c) => c.id)).not.toContain(id);
    const stopped = await call<Wire[]>('listCapsules', { query: { status: 'stopped' }, as: mine() });
    expect(stopped.body.map((c) => c.id)).toContain(id);
    expect(await status('destroyCapsule', { params: { id }, as: mine() })).toBe(204);
    expect(await status('destroyCapsule', { params: { id: 'cl-unknown' }, as: mine() })).toBe(404);
  });

  it('pauses and resumes, and refuses what does not fit the state', async () => {
    const { id } = await create();
    const params = { id };
    expect(await status('pingCapsule', { params, as: mine() })).toBe(204);
    expect(await code('resumeCapsule', { params, as: mine() })).toBe('409 invalid_state');
    expect((await call<Wire>('pauseCapsule', { params, as: mine() })).body.status).toBe('paused');
    expect(await code('pauseCapsule', { params, as: mine() })).toBe('409 invalid_state');
    for (const operation of ['pingCapsule', 'forkCapsule', 'listProcesses']) {
      expect(await code(operation, { params, as: mine() })).toBe('409 invalid_state');
    }
    expect((await call<Wire>('resumeCapsule', { params, as: mine() })).body.status).toBe('running');
    for (const operation of ['pauseCapsule', 'resumeCapsule', 'pingCapsule', 'getCapsule', 'forkCapsule']) {
      expect(await code(operation, { params: { id: 'cl-unknown' }, as: mine() })).toBe('404 not_found');
    }
  });

  it('sets the timeout', async () => {
    const { id } = await create();
    const set = await call<Wire>('setCapsuleTimeout', {
      params: { id },
      body: { timeout_sec: 90 },
      as: mine(),
    });
    expect(set.body['timeout_sec']).toBe(90);
    expect(await status('setCapsuleTimeout', { params: { id }, body: { timeout_sec: -1 }, as: mine() })).toBe(
      400,
    );
    expect(await status('setCapsuleTimeout', { params: { id }, body: {}, as: mine() })).toBe(400);
    expect(
      await status('setCapsuleTimeout', { params: { id: 'no' }, body: { timeout_sec: 1 }, as: mine() }),
    ).toBe(404);
  });

  it('forks: new ids, the files of the source, separate from then on', async () => {
    const { id } = await create();
    const write = (capsule: string, text: string) =>
      call('execCommand', {
        params: { id: capsule },
        body: { cmd: 'sh', args: ['-c', `echo ${text} > /tmp/f`] },
        as: mine(),
      });
    const read = async (capsule: string) =>
      (
        await call('downloadFile', { params: { id: capsule }, body: { path: '/tmp/f' }, as: mine() })
      ).bytes.toString();
    await write(id, 'source');
    expect((await call<Wire[]>('forkCapsule', { params: { id }, as: mine() })).body.length).toBe(1);
    const { body: forks, status: code201 } = await call<Wire[]>('forkCapsule', {
      params: { id },
      body: { count: 2 },
      as: mine(),
    });
    expect(code201).toBe(201);
    expect(new Set([id, ...forks.map((f) => f.id)]).size).toBe(3);
    await write(forks[0]!.id, 'fork');
    expect(await Promise.all([id, forks[0]!.id, forks[1]!.id].map(read))).toEqual([
      'source\n',
      'fork\n',
      'source\n',
    ]);
    expect(await status('forkCapsule', { params: { id }, body: { count: 0 }, as: mine() })).toBe(400);
  });

  it('says what is free when there is no room', async () => {
    const { id } = await create();
    const free = { free: { memoryMb: 3, diskMb: 5, vcpus: 1 } };
    const full = () => new AviaryError('capacity_exceeded', 'needs 512 MB, 3 MB are free', { details: free });
    scene.instance.host.script.failNext('fork', full());
    const answer = await call<{ error: { code: string; message: string } }>('forkCapsule', {
      params: { id },
      as: mine(),
    });
    expect([answer.status, answer.body.error.code]).toEqual([503, 'no_hosts_available']);
    expect(answer.body.error.message).toContain('3 MB are free');
    expect(answer.headers.get('retry-after')).not.toBe(null);
  });

  it('shows a capsule that died, with the reason', async () => {
    const { id } = await create();
    scene.instance.host.kill(id, 'out of memory');
    await expect
      .poll(async () => (await call<Wire>('getCapsule', { params: { id }, as: mine() })).body)
      .toMatchObject({ status: 'error', status_reason: expect.stringContaining('out of memory') });
    expect(await status('destroyCapsule', { params: { id }, as: mine() })).toBe(204);
  });

  it('freezes a capsule into a template and makes capsules from it', async () => {
    const { id } = await create({ memory_mb: 256 });
    const body = { sandbox_id: id, name: 'frozen', keep_running: true };
    const made = await call<Wire>('createSnapshot', { body, as: mine() });
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({ name: 'frozen', type: 'snapshot', memory_mb: 256 }),
    ]);
    expect(await code('createSnapshot', { body, as: mine() })).toBe('409 template_name_taken');
    expect(await status('createSnapshot', { body, query: { overwrite: 'true' }, as: mine() })).toBe(201);
    expect(await code('createSnapshot', { body: { ...body, name: 'minimal' }, as: mine() })).toBe(
      '409 name_reserved',
    );
    expect(await status('createSnapshot', { body: { ...body, name: '../x' }, as: mine() })).toBe(400);
    expect(await status('createSnapshot', { body, query: { overwrite: 'yes' }, as: mine() })).toBe(400);

    expect((await create({ template: 'frozen' }))['memory_mb']).toBe(256);
    expect(
      await status('createCapsule', { body: { template: 'frozen' }, as: { key: scene.strangerKey } }),
    ).toBe(404);

    // without keep_running the source ends, as the contract says
    const named = await call<Wire>('createSnapshot', { body: { sandbox_id: id }, as: mine() });
    expect(named.body['name']).toMatch(/^template-[0-9a-f]{8}$/);
    expect((await call<Wire>('getCapsule', { params: { id }, as: mine() })).body.status).toBe('stopped');

    const list = await call<{ name: string; type: string }[]>('listSnapshots', {
      query: { type: 'snapshot' },
      as: mine(),
    });
    expect(list.body.map(({ name }) => name)).toContain('frozen');
    expect(list.body.every(({ type }) => type === 'snapshot')).toBe(true);
    const all = await call<{ name: string }[]>('listSnapshots', { as: { key: scene.strangerKey } });
    expect(all.body.map(({ name }) => name)).toEqual(['minimal']);
    expect(await status('listSnapshots', { query: { type: 'other' }, as: mine() })).toBe(400);

    expect(
      await status('deleteSnapshot', { params: { name: 'frozen' }, as: { key: scene.strangerKey } }),
    ).toBe(404);
    expect(await status('deleteSnapshot', { params: { name: 'frozen' }, as: mine() })).toBe(204);
    expect(await status('deleteSnapshot', { params: { name: 'frozen' }, as: mine() })).toBe(404);
    expect(await status('deleteSnapshot', { params: { name: 'minimal' }, as: mine() })).toBe(403);
    expect(await status('createCapsule', { body: { template: 'frozen' }, as: mine() })).toBe(404);
  });
}
