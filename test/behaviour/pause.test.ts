/** Timeouts, pause and resume: cases 8-25 and 30 of the behaviour reference, on real microVMs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box, Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { screen, text } from '../support/text.ts';

const UNKNOWN = `cl-${'0'.repeat(25)}`;

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.close());

const create = async (order: object = {}) => product.api.capsule((await product.api.create(order)).id);
const timeout = (box: Box, seconds: number) =>
  product.api.put<Failure & { timeout_sec: number }>(`${box.path}/timeout`, { timeout_sec: seconds });
const status = async (box: Box) => (await box.read()).status;
const cycle = async (box: Box) => {
  expect(await box.pause()).toMatchObject({ status: 200, body: { status: 'paused' } });
  expect(await box.resume()).toMatchObject({ status: 200, body: { status: 'running' } });
};
/** Milliseconds until it sleeps. */
const untilPaused = async (box: Box): Promise<number> => {
  const start = performance.now();
  await expect.poll(() => status(box), { timeout: 15_000, interval: 100 }).toBe('paused');
  return performance.now() - start;
};

describe('timeout', () => {
  it('cases 8, 9 and 10: pauses when idle; calls, running commands and open streams are no idleness', async () => {
    const [idle, pinged, busy, streaming, typing] = await Promise.all([
      create({ timeout_sec: 2 }),
      create({ timeout_sec: 2 }),
      create({ timeout_sec: 2 }),
      create({ timeout_sec: 2 }),
      create({ timeout_sec: 2 }),
    ]);
    await idle.sh('echo kept > /root/kept');
    const command = busy.sh('sleep 5; echo done');
    const stream = await streaming.stream();
    stream.send({ type: 'start', cmd: 'sh', args: ['-c', 'sleep 5; echo done'] });
    const pty = await typing.pty();
    pty.send({ type: 'start' });
    const pings = setInterval(() => void product.api.post(`${pinged.path}/ping`), 500);
    const took = await untilPaused(idle);
    expect(took).toBeLessThan(4500);
    expect(await command).toBe('done\n');
    await stream.next(({ type }) => type === 'exit');
    expect(text(stream, 'stdout')).toBe('done\n');
    for (const box of [pinged, typing]) expect(await status(box)).toBe('running');
    clearInterval(pings);
    pty.send({ type: 'input', data: Buffer.from('echo $((40 + 2))\n').toString('base64') });
    while (!screen(pty).includes('42')) await pty.next(({ type }) => type === 'output');
    pty.close();
    for (const box of [pinged, busy, streaming, typing]) await untilPaused(box);
    expect((await idle.resume()).status).toBe(200);
    expect(await idle.sh('cat /root/kept')).toBe('kept\n');
    await Promise.all([idle, pinged, busy, streaming, typing].map((box) => box.destroy()));
  });

  it('cases 11, 13 and 14: shortened and lengthened at will; sleeping does not count', async () => {
    const box = await create({ timeout_sec: 600 });
    expect((await timeout(box, 1)).body.timeout_sec).toBe(1);
    expect((await timeout(box, 3600)).body.timeout_sec).toBe(3600);
    const awake = await create({ timeout_sec: 2 });
    await untilPaused(awake);
    // the shortened timer would have been over by now
    expect(await status(box)).toBe('running');
    expect((await timeout(awake, 2)).status).toBe(200);
    expect((await awake.resume()).status).toBe(200);
    expect(await status(awake)).toBe('running');
    expect((await timeout(box, -1)).status).toBe(400);
    expect((await timeout(box, 1.5)).status).toBe(400);
    await box.destroy();
    expect((await timeout(box, 60)).status).toBe(404);
    await awake.destroy();
  });
});

describe('pause and resume', () => {
  it('cases 4, 15 and 17: each state answers as documented', async () => {
    const box = await create();
    const resumed = await box.resume();
    expect(resumed.status).toBe(409);
    expect(await box.pause()).toMatchObject({ status: 200, body: { id: box.id, status: 'paused' } });
    expect((await box.pause()).status).toBe(409);
    for (const refused of [
      await box.exec<Failure>({ cmd: 'true' }),
      await box.files<Failure>('list', { path: '/' }),
      await product.api.get<Failure>(`${box.path}/processes`),
      await product.api.post<Failure>(`${box.path}/fork`, {}),
      await product.api.post<Failure>('/v1/snapshots', { sandbox_id: box.id }),
    ]) {
      expect([refused.status, refused.body.error.code]).toEqual([409, 'invalid_state']);
    }
    await expect(box.stream()).rejects.toMatchObject({ status: 409 });
    await box.destroy();
    expect((await box.pause()).status).toBe(404);
    expect((await product.api.capsule(UNKNOWN).pause()).status).toBe(404);
    expect((await product.api.capsule(UNKNOWN).resume()).status).toBe(404);
  });

  it('case 16: five pauses, then five resumes at once: one wins, the others are told, the state is clear', async () => {
    const box = await create();
    for (const [verb, state] of [
      ['pause', 'paused'],
      ['resume', 'running'],
    ] as const) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => box[verb]()));
      const statuses = answers.map((answer) => answer.status).sort();
      expect(statuses[0]).toBe(200);
      expect(statuses.every((one) => one === 200 || one === 409)).toBe(true);
      expect(await status(box)).toBe(state);
    }
    expect(await box.sh('echo fine')).toBe('fine\n');
    await box.destroy();
  });

  it('cases 18, 19, 20, 21 and 30: processes keep pid, tag, environment, sockets, output and their time', async () => {
    const box = await create();
    const sleeper = await box.spawn({ cmd: 'sleep', args: ['3600'], tag: 'sleeper', envs: { MARK: 'kept' } });
    await box.sh('mkdir -p /srv/www && echo served > /srv/www/index.html');
    await box.spawn({ cmd: 'python3', args: ['-m', 'http.server', '8000'], cwd: '/srv/www', tag: 'web' });
    const fetched = () => box.sh('curl -sf http://127.0.0.1:8000/ || true');
    await expect.poll(fetched).toBe('served\n');
    const counter = await box.spawn({
      cmd: 'sh',
      args: ['-c', 'for i in 1 2 3; do echo $i; sleep 0.3; done; echo end > /root/end'],
      tag: 'counter',
    });
    const lasting = async () =>
      (await box.processes()).filter(({ tag }) => tag === 'sleeper' || tag === 'web');
    const before = await lasting();
    await cycle(box);
    expect(await lasting()).toEqual(before);
    expect(before.length).toBe(2);
    expect(await box.sh(`tr '\\0' '\\n' < /proc/${sleeper.pid}/environ`)).toContain('MARK=kept\n');
    expect(await fetched()).toBe('served\n');
    const output = await box.attach(counter.pid);
    expect(await output.next(({ type }) => type === 'exit')).toMatchObject({ exit_code: 0 });
    expect(text(output, 'stdout')).toBe('1\n2\n3\n');
    expect(await box.sh('cat /root/end')).toBe('end\n');
    const connected = await box.attach('sleeper');
    expect(await connected.next(({ type }) => type === 'start')).toMatchObject({ pid: sleeper.pid });
    expect((await box.kill('sleeper')).status).toBe(204);
    expect(await connected.next(({ type }) => type === 'exit')).toMatchObject({ exit_code: 137 });
    await box.destroy();
  });

  it('cases 22 and 24: what is written between pauses is there after the next, five times, synced or not', async () => {
    const box = await create();
    for (let n = 0; n < 5; n++) {
      await box.sh(
        `echo ${n} >> /root/log; head -c 300000 /dev/urandom > /root/data; sha256sum /root/data > /root/sum; ${n % 2 ? 'sync' : 'true'}`,
      );
      await cycle(box);
      expect(await box.sh('cat /root/log')).toBe(Array.from({ length: n + 1 }, (_, i) => `${i}\n`).join(''));
      expect(await box.sh('sha256sum -c /root/sum')).toBe('/root/data: OK\n');
    }
    const writer = await box.spawn({
      cmd: 'sh',
      args: [
        '-c',
        'i=0; while :; do i=$((i+1)); echo $i > /root/n.new && sync /root/n.new && mv /root/n.new /root/n; done',
      ],
    });
    await expect.poll(() => box.sh('cat /root/n 2>/dev/null || echo 0')).not.toBe('0\n');
    const at = Number(await box.sh('cat /root/n'));
    await cycle(box);
    expect(Number(await box.sh('cat /root/n'))).toBeGreaterThanOrEqual(at);
    await box.kill(writer.pid);
    expect(await box.sh('dmesg 2>/dev/null | grep -ci "ext4.*error" || true')).toBe('0\n');
    await box.destroy();
  });

  it('case 23: 60 % of the free memory as random bytes is the same after two cycles', async () => {
    const box = await create({ memory_mb: 128 });
    const free = Number(/MemAvailable:\s+(\d+)/.exec(await box.sh('cat /proc/meminfo'))?.[1]);
    await box.sh(
      `mount -t tmpfs -o size=${free}k none /mnt; head -c ${Math.floor(free * 0.6) * 1024} /dev/urandom > /mnt/r`,
      { timeout_sec: 60 },
    );
    const sum = await box.sh('sha256sum /mnt/r', { timeout_sec: 60 });
    for (let n = 0; n < 2; n++) {
      await cycle(box);
      expect(await box.sh('sha256sum /mnt/r', { timeout_sec: 60 })).toBe(sum);
    }
    await box.destroy();
  });

  it('case 25: the clock is right at the first command after a sleep', async () => {
    const box = await create();
    expect((await box.pause()).status).toBe(200);
    // sleeps while another one lives and is paused for idling, which takes two seconds and more
    const other = await create({ timeout_sec: 2 });
    await untilPaused(other);
    expect((await box.resume()).status).toBe(200);
    const before = Date.now();
    const inside = Number(await box.sh('date +%s%3N'));
    expect(inside).toBeGreaterThan(before - 1000);
    expect(inside).toBeLessThan(Date.now() + 1000);
    await Promise.all([box.destroy(), other.destroy()]);
  });
});
