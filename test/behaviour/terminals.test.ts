/** Terminals: cases 71-82 of the behaviour reference (79 needs a clock: packages/surfaces), in a real microVM. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message, Socket } from '../contract/sockets.ts';
import type { Box } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { screen } from '../support/text.ts';

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
const type = (pty: Socket, input: string | Uint8Array) =>
  pty.send({ type: 'input', data: Buffer.from(input as string).toString('base64') });
/** Until the terminal shows it. */
const shows = async (pty: Socket, what: string | RegExp) => {
  const there = () => (typeof what === 'string' ? screen(pty).includes(what) : what.test(screen(pty)));
  while (!there()) await pty.next(is('output'));
};
const open = async (start: object = {}) => {
  const pty = await box.pty();
  pty.send({ type: 'start', ...start });
  const { tag, pid } = await pty.next(is('started'));
  return { pty, tag: tag as string, pid: pid as number };
};

describe('pty', () => {
  it('case 71: bash, 80x24 and started with tag and pid, by default', async () => {
    const { pty, tag, pid } = await open();
    expect(pty.all[0]).toEqual({ type: 'started', tag, pid });
    expect(tag).toMatch(/^pty-[0-9a-f]{8}$/);
    type(pty, 'stty size; echo "$0:$TERM:$(tty)"\n');
    await shows(pty, /24 80\r\n/);
    await shows(pty, /bash:xterm-256color:\/dev\/pts\/\d+/);
    expect(await named('bash')).toMatchObject([{ pid, tag }]);
    pty.send({ type: 'kill' });
    await pty.closed;
  });

  it('case 72: envs are there, exit tells its code and ends the session', async () => {
    const { pty } = await open({ envs: { ABC: '123' }, cwd: '/tmp', user: 'user' });
    type(pty, 'echo "=$ABC=$(pwd)=$(id -un)="\n');
    await shows(pty, '=123=/tmp=user=');
    type(pty, 'exit 0\n');
    expect(await pty.next(is('exit'))).toEqual({ type: 'exit', exit_code: 0 });
    expect((await pty.closed).code).toBe(1000);
  });

  it('cases 73 and 81: a resize is seen, also by a waiting reader; nonsense sizes are refused', async () => {
    const reader = [
      'import os, signal, sys',
      // not print, which a signal must not enter twice
      'size = lambda *_: os.write(1, b"%d %d\\n" % os.get_terminal_size())',
      'signal.signal(signal.SIGWINCH, size)',
      'size()',
      'sys.stdin.read()',
    ].join('\n');
    const { pty } = await open({ cmd: 'python3', args: ['-c', reader], cols: 90, rows: 30 });
    await shows(pty, '90 30\r\n');
    pty.send({ type: 'resize', cols: 100, rows: 40 });
    await shows(pty, '100 40\r\n');
    for (const size of [{ cols: 0, rows: 10 }, { cols: 10, rows: -1 }, { cols: 1e9, rows: 10 }, {}]) {
      const refused = await open({ cmd: 'cat' });
      refused.pty.send({ type: 'resize', ...size });
      expect(await refused.pty.next(is('error'))).toMatchObject({ fatal: true });
      await refused.pty.closed;
      await box.kill(refused.pid);
    }
    pty.send({ type: 'kill' });
    await pty.closed;
  });

  it('cases 74 and 75: reconnecting finds the same shell and what it said; two clients see the same', async () => {
    const first = await open();
    type(first.pty, 'KEPT=value; echo before-$KEPT\n');
    await shows(first.pty, 'before-value');
    first.pty.terminate();
    const again = await box.pty();
    again.send({ type: 'connect', tag: first.tag });
    expect(await again.next(is('started'))).toEqual({ type: 'started', tag: first.tag, pid: first.pid });
    await shows(again, 'before-value');
    const other = await box.pty();
    other.send({ type: 'connect', tag: first.tag });
    type(again, 'echo after-$KEPT\n');
    for (const client of [again, other]) await shows(client, 'after-value');
    type(other, 'exit 9\n');
    for (const client of [again, other]) {
      expect(await client.next(is('exit'))).toEqual({ type: 'exit', exit_code: 9 });
    }
  });

  it('case 76: kill ends it and all that runs in it', async () => {
    const { pty, tag } = await open();
    type(pty, 'sleep 7600 & disown; nohup sleep 7601 & sleep 7602\n');
    await expect.poll(async () => (await named('sleep 760')).length).toBe(3);
    pty.send({ type: 'kill' });
    expect(await pty.next(is('exit'))).toMatchObject({ exit_code: 137 });
    await expect.poll(() => named('sleep 760')).toEqual([]);
    expect((await box.kill(tag)).status).toBe(404);
  });

  it('case 77: control characters do what they do, and raw bytes pass', async () => {
    const { pty } = await open({ cmd: '/bin/sh' });
    type(pty, 'sleep 7700; echo "code $?"\n');
    await expect.poll(() => named('sleep 7700')).not.toEqual([]);
    type(pty, '\u0003');
    await shows(pty, /\^C\r\n# $/);
    expect(await named('sleep 7700')).toEqual([]);
    type(
      pty,
      'stty raw -echo; echo ready; head -c 256 | od -An -v -tu1 | tr -s " \\n" ","; stty sane; echo o""ver\n',
    );
    await shows(pty, /ready\n/);
    type(
      pty,
      Uint8Array.from({ length: 256 }, (_, i) => i),
    );
    await shows(pty, Array.from({ length: 256 }, (_, i) => i).join(','));
    await shows(pty, /over\r\n# $/);
    type(pty, '\u0004');
    await pty.next(is('exit'));
  });

  it('case 78: a connect without a tag, or to none, is fatal', async () => {
    for (const first of [
      { type: 'connect' },
      { type: 'connect', tag: 'pty-00000000' },
      { type: 'input', data: '' },
    ]) {
      const pty = await box.pty();
      pty.send(first);
      expect(await pty.next(is('error'))).toMatchObject({ fatal: true });
      expect((await pty.closed).code).toBe(1008);
    }
  });

  it('case 80: sessions are independent', async () => {
    const [a, b] = [await open({ cmd: '/bin/sh' }), await open({ cmd: '/bin/sh' })];
    type(a.pty, 'X=only-a; echo "[$X]"\n');
    await shows(a.pty, '[only-a]');
    type(b.pty, 'echo "[$X]"\n');
    await shows(b.pty, '[]');
    expect(screen(b.pty)).not.toContain('only-a');
    a.pty.send({ type: 'kill' });
    await a.pty.next(is('exit'));
    type(b.pty, 'echo still-here\n');
    await shows(b.pty, /still-here\r\n/);
    b.pty.send({ type: 'kill' });
    await b.pty.closed;
  });

  it('case 82: a pasted megabyte arrives whole and in order', async () => {
    const { pty } = await open({ cmd: '/bin/sh' });
    const paste = Array.from({ length: 62_500 }, (_, i) => String(i).padStart(15, '.'))
      .join('\n')
      .concat('\n');
    expect(paste.length).toBe(1_000_000);
    type(pty, 'stty -echo; echo ready; head -c 1000000 > /tmp/pasted; echo rec""eived\n');
    await shows(pty, /ready\r\n/);
    type(pty, paste);
    await shows(pty, /received\r\n/);
    const pasted = (await box.readFile('/tmp/pasted')).bytes.toString();
    expect(pasted.length).toBe(paste.length);
    expect(pasted === paste).toBe(true);
    pty.send({ type: 'kill' });
    await pty.closed;
  });
});
