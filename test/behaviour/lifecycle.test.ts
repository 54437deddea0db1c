/** Life of a capsule, cases 1-7 and 28 of the behaviour reference, through HTTP on real microVMs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box, Capsule, Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { machineOf } from '../support/traces.ts';

const UNKNOWN = `cl-${'0'.repeat(25)}`;

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.close());

/** Every verb on a capsule, as method, path below it, and body. */
const VERBS: readonly [method: 'get' | 'post' | 'put' | 'delete', path: string, body?: object][] = [
  ['get', ''],
  ['post', '/ping'],
  ['post', '/pause'],
  ['post', '/resume'],
  ['post', '/exec', { cmd: 'true' }],
  ['post', '/fork', { count: 1 }],
  ['put', '/timeout', { timeout_sec: 60 }],
  ['get', '/processes'],
  ['delete', '/processes/1'],
  ['post', '/files/read', { path: '/etc/hostname' }],
  ['post', '/files/stream/read', { path: '/etc/hostname' }],
  ['post', '/files/list', { path: '/' }],
  ['post', '/files/mkdir', { path: '/tmp/x' }],
  ['post', '/files/remove', { path: '/tmp/x' }],
  ['delete', ''],
];

describe('lifecycle', () => {
  let box: Box;
  it('case 1: create without anything is a running minimal capsule, 1 vCPU, 512 MB, no timeout', async () => {
    const { status, body } = await product.api.post<Capsule>('/v1/capsules', {});
    expect(status).toBe(201);
    expect(body).toMatchObject({
      status: 'running',
      template: 'minimal',
      vcpus: 1,
      memory_mb: 512,
      timeout_sec: 0,
    });
    expect(body.id).toMatch(/^cl-[0-9a-z]{25}$/);
    box = product.api.capsule(body.id);
    // and the machine is what was promised
    expect(await box.sh('nproc')).toBe('1\n');
    const memory = Number(/MemTotal:\s+(\d+) kB/.exec(await box.sh('cat /proc/meminfo'))?.[1]) / 1024;
    expect(memory).toBeGreaterThan(440);
    expect(memory).toBeLessThanOrEqual(512);
  });

  it('case 2: it is listed; after destroy the list omits it and GET says stopped', async () => {
    const list = async () => (await product.api.get<Capsule[]>('/v1/capsules')).body.map(({ id }) => id);
    expect(await list()).toContain(box.id);
    expect((await box.destroy()).status).toBe(204);
    expect(await list()).not.toContain(box.id);
    expect(await box.read()).toMatchObject({ status: 'stopped' });
  });

  it('case 3: unknown ids and those of other teams are 404 on every verb, and nothing happens', async () => {
    const mine = await product.api.create();
    const stranger = await product.stranger();
    for (const [api, id] of [
      [product.api, UNKNOWN],
      [stranger, UNKNOWN],
      [stranger, mine.id],
    ] as const) {
      for (const [method, path, body] of VERBS) {
        const answer = await api[method]<Failure>(`/v1/capsules/${id}${path}`, body);
        expect([method, path, answer.status, answer.body.error.code]).toEqual([
          method,
          path,
          404,
          'not_found',
        ]);
      }
      for (const path of ['/exec/stream', '/pty', '/processes/1/stream']) {
        await expect(api.socket(`/v1/capsules/${id}${path}`)).rejects.toMatchObject({ status: 404 });
      }
      const upload = await api.capsule(id).write('/tmp/x', 'x');
      expect(upload.status).toBe(404);
      const snapshot = await api.post<Failure>('/v1/snapshots', { sandbox_id: id });
      expect(snapshot.status).toBe(404);
    }
    expect(await product.api.capsule(mine.id).read()).toMatchObject({ status: 'running' });
    await product.api.capsule(mine.id).destroy();
  });

  it('case 4: ping is 204 while it runs, 409 while it is paused, 404 for an unknown one', async () => {
    const { id } = await product.api.create();
    const ping = () => product.api.post<Failure | null>(`/v1/capsules/${id}/ping`);
    expect((await ping()).status).toBe(204);
    expect((await product.api.capsule(id).pause()).status).toBe(200);
    const paused = await ping();
    expect([paused.status, paused.body?.error.code]).toEqual([409, 'invalid_state']);
    expect((await product.api.post(`/v1/capsules/${UNKNOWN}/ping`)).status).toBe(404);
    await product.api.capsule(id).destroy();
    expect((await ping()).status).toBe(404);
  });

  it('case 5: an unknown template is 404, a bad name 400', async () => {
    const refused = (order: object) => product.api.post<Failure>('/v1/capsules', order);
    expect((await refused({ template: 'no-such-template' })).status).toBe(404);
    for (const template of ['', '.hidden', 'a/b', '../minimal', 'x'.repeat(65), 'a b', 'a\u0000b']) {
      const { status, body } = await refused({ template });
      expect([template, status, body.error.code]).toEqual([template, 400, 'invalid_request']);
    }
  });

  it('case 6: sizes out of range are 400 with the bounds named, odd ones are refused or kept exactly', async () => {
    for (const [order, bounds] of [
      [{ vcpus: 0 }, '1 to 4'],
      [{ vcpus: 5 }, '1 to 4'],
      [{ memory_mb: 127 }, '128 to 8192'],
      [{ memory_mb: 8193 }, '128 to 8192'],
      [{ disk_mb: 100 }, '5120 to 65536'],
      [{ timeout_sec: -1 }, '0 to'],
    ] as const) {
      const { status, body } = await product.api.post<Failure>('/v1/capsules', order);
      expect([status, body.error.code]).toEqual([400, 'invalid_request']);
      expect(body.error.message).toContain(Object.keys(order)[0]);
      expect(body.error.message).toContain(bounds);
    }
    const fraction = await product.api.post<Failure>('/v1/capsules', { vcpus: 1.5 });
    expect(fraction.status).toBe(400);
    const odd = await product.api.create({ memory_mb: 131, vcpus: 2, disk_mb: 6000 });
    expect(odd).toMatchObject({ memory_mb: 131, vcpus: 2, disk_mb: 6000, status: 'running' });
    const box = product.api.capsule(odd.id);
    expect(await box.sh('nproc')).toBe('2\n');
    expect(Number(await box.sh("df -BM --output=size / | tail -1 | tr -dc '0-9'"))).toBeGreaterThan(5500);
    await box.destroy();
  });

  it('case 7: filters, pages of a limit and a cursor, stable while capsules are added', async () => {
    const add = (n: number) => product.api.create({ metadata: { set: 'seven', n: String(n) } });
    const made = [await add(0), await add(1), await add(2)].map(({ id }) => id);
    const page = async (query: string) =>
      product.api.get<Capsule[]>(`/v1/capsules?metadata=${encodeURIComponent('set=seven')}${query}`);
    const first = await page('&limit=2');
    expect(first.body.length).toBe(2);
    const later = await add(3);
    const cursor = first.headers.get('x-next-cursor') ?? '';
    const second = await page(`&limit=2&cursor=${encodeURIComponent(cursor)}`);
    const seen = [...first.body, ...second.body].map(({ id }) => id);
    expect(new Set(seen).size).toBe(seen.length);
    for (const id of made) expect(seen).toContain(id);
    const one = await product.api.get<Capsule[]>(
      `/v1/capsules?metadata=${encodeURIComponent('set=seven&n=3')}`,
    );
    expect(one.body.map(({ id }) => id)).toEqual([later.id]);
    await product.api.capsule(later.id).pause();
    const paused = (await page('&status=paused')).body.map(({ id }) => id);
    expect(paused).toEqual([later.id]);
    for (const id of [...made, later.id]) await product.api.capsule(id).destroy();
  });

  it('case 28: a killed machine is an error with a reason within seconds; nothing hangs', async () => {
    const { id } = await product.api.create();
    const box = product.api.capsule(id);
    const busy = box.exec<Failure>({ cmd: 'sleep', args: ['600'], timeout_sec: 600 });
    await expect.poll(() => box.processes()).toMatchObject([{ cmd: 'sleep' }]);
    const stream = await box.stream();
    stream.send({ type: 'start', cmd: 'sleep', args: ['601'] });
    await stream.next(({ type }) => type === 'start');
    const killed = performance.now();
    process.kill(machineOf(product.data, id)!.pid, 'SIGKILL');
    const answer = await busy;
    expect([answer.status, answer.body.error.code]).toEqual([502, 'agent_error']);
    expect(await stream.next(({ type }) => type === 'error')).toMatchObject({ fatal: true });
    await stream.closed;
    await expect.poll(async () => (await box.read()).status).toBe('error');
    expect(performance.now() - killed).toBeLessThan(3000);
    expect((await box.read()).status_reason).toMatch(/\w+ \w+/);
    const late = await box.exec<Failure>({ cmd: 'true' });
    expect([late.status, late.body.error.code]).toEqual([409, 'invalid_state']);
    expect((await box.pause()).status).toBe(409);
    expect((await box.resume()).status).toBe(409);
    expect((await box.destroy()).status).toBe(204);
  });
});
