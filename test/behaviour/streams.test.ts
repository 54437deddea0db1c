/** exec/stream: cases 51 and 54-58 of the behaviour reference, over WebSockets to a real microVM. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../contract/sockets.ts';
import type { Box } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { bytes, text } from '../support/text.ts';

let product: Product;
let box: Box;
beforeAll(async () => {
  product = await startProduct();
  box = product.api.capsule((await product.api.create()).id);
});
afterAll(() => product?.close());

const is = (type: string) => (message: Message) => message.type === type;
const named = async (word: string) =>
  (await box.processes()).filter(({ cmd, args }) => [cmd, ...args].join(' ').includes(word));
const run = async (script: string, more: object = {}) => {
  const stream = await box.stream();
  stream.send({ type: 'start', cmd: 'sh', args: ['-c', script], ...more });
  return stream;
};

describe('exec stream', () => {
  it('case 51: text stays text over chunk boundaries, bytes stay bytes', async () => {
    const script =
      'printf "a\\303"; sleep 0.2; printf "\\274\\360\\237"; sleep 0.2; printf "\\246\\234\\n"; printf "\\377\\376" >&2';
    const stream = await run(script);
    await stream.next(is('exit'));
    expect(text(stream, 'stdout')).toBe('aü\u{1f99c}\n');
    expect(stream.all.filter(is('stdout')).every(({ encoding }) => encoding !== 'base64')).toBe(true);
    expect(bytes(stream, 'stderr')).toEqual(Buffer.from([0xff, 0xfe]));
  });

  it('case 54: the first message must be a start with cmd; otherwise an error, and the end', async () => {
    for (const first of [
      { type: 'stop' },
      { type: 'start' },
      { type: 'start', cmd: '' },
      { type: 'start', cmd: 7 },
      { type: 'start', cmd: 'true', args: 'x' },
      { type: 'start', cmd: 'true', envs: { A: 1 } },
      { type: 'start', cmd: 'true', cwd: '/no/such' },
      { type: 'dance' },
      { cmd: 'true' },
    ]) {
      const stream = await box.stream();
      stream.send(first);
      expect(await stream.next(is('error'))).toMatchObject({ data: expect.any(String), fatal: true });
      expect((await stream.closed).code).toBe(1008);
      expect(stream.all.filter(is('start'))).toEqual([]);
    }
  });

  it('case 55: start with pid, data, exit last, then the socket closes', async () => {
    const stream = await run('echo one; echo two');
    await stream.next(is('exit'));
    expect((await stream.closed).code).toBe(1000);
    expect(stream.all[0]).toMatchObject({ type: 'start', pid: expect.any(Number) });
    expect(stream.all.at(-1)).toEqual({ type: 'exit', exit_code: 0 });
    expect(text(stream, 'stdout')).toBe('one\ntwo\n');
  });

  it('case 56: stop ends the whole tree; a client that vanishes does too', async () => {
    const script = 'sleep 560 & sleep 561 & echo go; wait';
    const stopped = await run(script);
    await stopped.next(is('stdout'));
    stopped.send({ type: 'stop' });
    expect(await stopped.next(is('exit'))).toMatchObject({ exit_code: 137 });
    expect(await named('sleep 56')).toEqual([]);
    const vanished = await run(script);
    await vanished.next(is('stdout'));
    vanished.terminate();
    await expect.poll(() => named('sleep 56')).toEqual([]);
  });

  it('case 57: both streams and the code, exactly, with one exit', async () => {
    const script = 'i=0; while [ $i -lt 300 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; exit 7';
    const stream = await run(script);
    expect(await stream.next(is('exit'))).toMatchObject({ exit_code: 7 });
    await stream.closed;
    const lines = (letter: string) => Array.from({ length: 300 }, (_, i) => `${letter}${i}\n`).join('');
    expect(text(stream, 'stdout')).toBe(lines('o'));
    expect(text(stream, 'stderr')).toBe(lines('e'));
    expect(stream.all.filter(is('exit')).length).toBe(1);
  });

  it('case 58: without an upgrade it is 426', async () => {
    for (const route of ['exec/stream', 'pty', 'processes/1/stream']) {
      expect((await product.api.get(`${box.path}/${route}`)).status).toBe(426);
    }
  });

  it('case 49: 30 MB of random bytes arrive complete and in order', async () => {
    const stream = await run('head -c 31457280 /dev/urandom | tee /tmp/sent');
    await stream.next(is('exit'));
    const sum = createHash('sha256').update(bytes(stream, 'stdout')).digest('hex');
    expect(await box.sh('sha256sum < /tmp/sent; rm /tmp/sent')).toContain(sum);
  });

  it('case 52: a reader that hangs holds back its command and nobody else', async () => {
    const hung = await run('yes case-52-of-the-list');
    await hung.next(is('stdout'));
    hung.pause();
    for (let n = 0; n < 20; n++) expect(await box.sh(`echo ${n}`)).toBe(`${n}\n`);
    hung.terminate();
    await expect.poll(() => named('case-52')).toEqual([]);
  });

  it('stdin can be written and closed when it was asked for', async () => {
    const stream = await run('cat; echo end', { stdin: true });
    await stream.next(is('start'));
    stream.send({ type: 'stdin', data: 'line\n' });
    await stream.next(({ data }) => data === 'line\n');
    stream.send({ type: 'stdin', data: Buffer.from([0, 255]).toString('base64'), encoding: 'base64' });
    stream.send({ type: 'close_stdin' });
    await stream.next(is('exit'));
    expect(bytes(stream, 'stdout')).toEqual(
      Buffer.from([...Buffer.from('line\n'), 0, 255, ...Buffer.from('end\n')]),
    );
  });

  it('takes cwd, envs and user', async () => {
    const stream = await run('echo "$X $(id -un) $(pwd)"', { envs: { X: 'y' }, user: 'user', cwd: '/tmp' });
    await stream.next(is('exit'));
    expect(text(stream, 'stdout')).toBe('y user /tmp\n');
  });
});
