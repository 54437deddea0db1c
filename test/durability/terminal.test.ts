/** kill -9 of the control plane while somebody sits at a terminal: the shell is there again, with what it said. */
import { expect, it } from 'vitest';
import type { Message, Socket } from '../contract/sockets.ts';
import { startProduct } from '../support/product.ts';
import { screen } from '../support/text.ts';

const is = (type: string) => (message: Message) => message.type === type;
const type = (pty: Socket, input: string) =>
  pty.send({ type: 'input', data: Buffer.from(input).toString('base64') });
const shows = async (pty: Socket, what: string) => {
  while (!screen(pty).includes(what)) await pty.next(is('output'));
};

it('finds a terminal again after kill -9, and its capsule destroys as ever', async () => {
  const product = await startProduct();
  try {
    const box = product.api.capsule((await product.api.create()).id);
    const before = await box.pty();
    before.send({ type: 'start', cmd: '/bin/sh' });
    const { tag, pid } = await before.next(is('started'));
    type(before, 'KEPT=value; echo before-$KEPT\n');
    await shows(before, 'before-value');

    await product.kill();
    await product.start();

    const after = await box.pty();
    after.send({ type: 'connect', tag });
    expect(await after.next(is('started'))).toEqual({ type: 'started', tag, pid });
    await shows(after, 'before-value');
    type(after, 'echo after-$KEPT\n');
    await shows(after, 'after-value');
  } finally {
    await product.close();
  }
});
