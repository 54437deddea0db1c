/** Background processes: cases 59-70 of the behaviour reference, through HTTP and WebSocket in a real microVM. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Box, Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { text } from '../support/text.ts';

let product: Product;
let box: Box;
beforeAll(async () => {
  product = await startProduct();
  box = product.api.capsule((await product.api.create()).id);
});
afterAll(() => product?.close());
afterEach(async () => {
  for (const { pid } of await box.processes()) await box.kill(pid);
});

const pids = async () => (await box.processes()).map(({ pid }) => pid);
const shell = (script: string) => ({ cmd: 'sh', args: ['-c', script] });
const isExit = ({ type }: { type: string }) => type === 'exit';

describe('processes', () => {
  it('case 59: background is 202 with pid and tag; tags are generated, kept, and taken while in use', async () => {
    const { status, body } = await box.exec<{ sandbox_id: string; cmd: string; pid: number; tag: string }>({
      cmd: 'sleep',
      args: ['600'],
      background: true,
    });
    expect(status).toBe(202);
    expect(body).toMatchObject({ sandbox_id: box.id, cmd: 'sleep' });
    expect(body.pid).toBeGreaterThan(0);
    expect(body.tag).toMatch(/^proc-[0-9a-f]{8}$/);
    expect((await box.spawn({ cmd: 'sleep', args: ['601'], tag: 'mine' })).tag).toBe('mine');
    const again = await box.exec<Failure>({ cmd: 'sleep', args: ['602'], tag: 'mine', background: true });
    expect([again.status, again.body.error.code]).toEqual([409, 'conflict']);
    await box.kill('mine');
    // free once the killed one has been reaped, a moment after the answer
    const reused = { cmd: 'sleep', args: ['603'], tag: 'mine', background: true };
    await expect.poll(async () => (await box.exec(reused)).status, { interval: 10 }).toBe(202);
    for (const tag of ['1234', '', 'a b', 'x'.repeat(65), 'a/b', '../x']) {
      const refused = await box.exec<Failure>({ cmd: 'sleep', args: ['1'], tag, background: true });
      expect([tag, refused.status]).toEqual([tag, 400]);
    }
  });

  it('case 60: the list has pid, tag, cmd and args; a killed one is gone from it', async () => {
    const { pid, tag } = await box.spawn({ cmd: 'sleep', args: ['610'] });
    expect(await box.processes()).toContainEqual({ pid, tag, cmd: 'sleep', args: ['610'] });
    expect((await box.kill(pid)).status).toBe(204);
    await expect.poll(pids, { interval: 10 }).not.toContain(pid);
  });

  it('case 61: killed by pid or tag; unknown 404; SIGKILL by default, SIGTERM on request, others 400', async () => {
    const one = await box.spawn({ cmd: 'sleep', args: ['620'], tag: 'by-tag' });
    expect((await box.kill('by-tag')).status).toBe(204);
    await expect.poll(pids, { interval: 10 }).not.toContain(one.pid);
    expect((await box.kill(one.pid)).status).toBe(404);
    expect((await box.kill('by-tag')).status).toBe(404);
    expect((await box.kill(999_999)).status).toBe(404);
    expect((await box.kill('no-such')).status).toBe(404);
    const two = await box.spawn({ cmd: 'sleep', args: ['621'] });
    for (const signal of ['SIGSTOP', 'TERM', '9', 'sigterm', '']) {
      expect([signal, (await box.kill(two.pid, signal)).status]).toEqual([signal, 400]);
    }
    const ends = await box.attach(two.pid);
    expect((await box.kill(two.pid, 'SIGTERM')).status).toBe(204);
    expect(await ends.next(isExit)).toMatchObject({ exit_code: 143 });
  });

  it('case 62: a kill takes the whole tree, also what left its session', async () => {
    const { pid } = await box.spawn(
      shell('(setsid sleep 6200 &) ; sh -c "sh -c \\"sleep 6201; echo\\"; echo" & sleep 6202 && echo done'),
    );
    const sleeps = async () => (await box.processes()).filter(({ args }) => args.join().includes('620'));
    await expect.poll(async () => (await sleeps()).filter(({ cmd }) => cmd === 'sleep').length).toBe(3);
    expect((await box.kill(pid)).status).toBe(204);
    await expect.poll(sleeps).toEqual([]);
  });

  it('case 63: SIGTERM can be trapped, SIGKILL not', async () => {
    const { pid, tag } = await box.spawn(
      shell('trap "echo trapped" TERM; echo ready; while :; do sleep 0.1; done'),
    );
    const output = await box.attach(tag);
    await output.next(({ data }) => String(data).includes('ready'));
    expect((await box.kill(tag, 'SIGTERM')).status).toBe(204);
    await output.next(({ data }) => String(data).includes('trapped'));
    expect(await pids()).toContain(pid);
    expect((await box.kill(tag)).status).toBe(204);
    expect(await output.next(isExit)).toMatchObject({ exit_code: 137 });
  });

  it('case 65: output from the start and on; all subscribers get the same, an abandoned one stalls nobody', async () => {
    const { tag } = await box.spawn(
      shell('echo first; while [ ! -e /tmp/go65 ]; do sleep 0.05; done; seq 20000; echo err >&2; exit 5'),
    );
    const readers = await Promise.all([box.attach(tag), box.attach(tag), box.attach(tag)]);
    // one reads nothing from here on
    const abandoned = await box.attach(tag);
    abandoned.pause();
    for (const reader of readers) await reader.next(({ data }) => data === 'first\n');
    await box.sh('touch /tmp/go65');
    for (const reader of readers) {
      expect(await reader.next(isExit)).toMatchObject({ exit_code: 5 });
      expect(text(reader, 'stdout')).toBe(
        `first\n${Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('')}`,
      );
      expect(text(reader, 'stderr')).toBe('err\n');
    }
    abandoned.close();
  });

  it('case 66: after its end a process still tells its output and code; a tag used again means the new one', async () => {
    const old = await box.spawn({ ...shell('echo old; exit 6'), tag: 'again' });
    await (await box.attach('again')).next(isExit);
    const late = await box.attach(old.pid);
    expect(await late.next(isExit)).toMatchObject({ exit_code: 6 });
    expect(late.all.map(({ type }) => type)).toEqual(['start', 'stdout', 'exit']);
    await box.spawn({ ...shell('echo new; exit 7'), tag: 'again' });
    const fresh = await box.attach('again');
    expect(await fresh.next(isExit)).toMatchObject({ exit_code: 7 });
    expect(text(fresh, 'stdout')).toBe('new\n');
  });

  it('case 67: an unknown process is a 404 before the handshake', async () => {
    for (const selector of ['no-such', '999999']) {
      await expect(box.attach(selector)).rejects.toMatchObject({
        status: 404,
        body: { error: { code: 'not_found' } },
      });
    }
  });

  it('case 69: no zombies after 100 short processes', async () => {
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 20 }, () => box.sh('true & exec true')));
    }
    expect(await box.sh('ps -eo stat= | grep -c Z || true')).toBe('0\n');
  });

  it('case 70: pid and output of one that ends at once are there', async () => {
    for (let n = 0; n < 10; n++) {
      const { pid } = await box.spawn({ cmd: 'echo', args: [`quick ${n}`] });
      const stream = await box.attach(pid);
      expect(await stream.next(isExit)).toMatchObject({ exit_code: 0 });
      expect(text(stream, 'stdout')).toBe(`quick ${n}\n`);
    }
  });
});
