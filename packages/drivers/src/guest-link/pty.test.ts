/** Terminals: the real agent on this machine. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, readUntil, sh, startTestAgent, type TestAgent } from './test-agent.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await startTestAgent();
});
afterAll(() => agent?.stop());

const size = { cols: 80, rows: 24 };

test('a terminal has its size, is resized while a read waits, and ends on exit (71-73)', async () => {
  const process = await agent.link.exec({ argv: ['sh'], pty: size, envs: { ABC: '123', PS1: '> ' } });
  expect(process.tag).toMatch(/^pty-[0-9a-f]{8}$/);
  await process.write(Buffer.from('echo [$ABC]; stty size\n'));
  expect(await readUntil(process, '24 80')).toContain('[123]');
  await process.resize(100, 40);
  await process.write(Buffer.from('stty size; exit 3\n'));
  const said = await collect(process);
  expect(said.pty.toString()).toContain('40 100');
  expect(said.exit.code).toBe(3);
});

test('Ctrl-C interrupts, Ctrl-D ends (77)', async () => {
  const script = 'stty -echo; trap "echo caught" INT; echo ready; cat; echo again; cat; echo done';
  const process = await agent.link.exec({ argv: ['sh', '-c', script], pty: size });
  await readUntil(process, 'ready');
  await process.write(Buffer.from('first cat\n'));
  await readUntil(process, 'first cat'); // only cat says it, so it runs
  await process.write(Buffer.from([3]));
  expect(await readUntil(process, 'again')).toContain('caught');
  await process.closeStdin();
  expect((await collect(process)).pty.toString()).toContain('done');
});

test('raw bytes pass in both directions', async () => {
  const process = await agent.link.exec({
    argv: ['sh', '-c', 'stty raw -echo; echo go; head -c 256'],
    pty: size,
  });
  await readUntil(process, 'go\n');
  await process.write(Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
  expect((await collect(process)).pty).toEqual(Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
});

test('a paste of 1 MB arrives whole and in order, with resizes in between (82)', {
  timeout: 60_000,
}, async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i} ${'x'.repeat(45)}\n`).join('');
  const process = await agent.link.exec({ argv: ['sh', '-c', 'stty -echo; echo go; sha256sum'], pty: size });
  await readUntil(process, 'go');
  const sent = process.write(Buffer.from(lines));
  for (let i = 0; i < 20; i++) await process.resize(80 + i, 24);
  await sent;
  await process.closeStdin();
  const { createHash } = await import('node:crypto');
  expect((await collect(process)).pty.toString()).toContain(createHash('sha256').update(lines).digest('hex'));
});

test('two clients see the same, a reconnect finds the shell as it was (74, 75)', async () => {
  const process = await agent.link.exec({ argv: ['sh'], pty: size, envs: { PS1: '' }, background: true });
  await process.write(Buffer.from('stty -echo; X=kept; echo first\n'));
  await readUntil(process, 'first\r\n');
  process.detach();
  const [one, two] = [await agent.link.attach(process.tag), await agent.link.attach(process.tag)];
  expect(one.pid).toBe(process.pid);
  await one.write(Buffer.from('echo "<$X>"; exit\n'));
  const [a, b] = await Promise.all([collect(one), collect(two)]);
  expect(a.pty.toString()).toContain('first\r\n');
  expect(a.pty.toString()).toContain('<kept>');
  expect(a.pty.equals(b.pty)).toBe(true);
});

test('killing a terminal takes its disowned children (62)', async () => {
  const id = `2${globalThis.process.pid}`; // other suites run on this machine too
  const process = await agent.link.exec({
    argv: [
      'sh',
      '-c',
      `(trap "" HUP; sleep 21.${id}) & (trap "" HUP; sleep 22.${id}) & sleep 0.2; echo up; wait`,
    ],
    pty: size,
  });
  await readUntil(process, 'up');
  await agent.link.kill(process.tag, 'SIGKILL');
  expect((await process.exit).signal).toBe(9);
  await expect
    .poll(async () => (await agent.link.processes()).filter((info) => info.args[0]?.endsWith(`.${id}`)))
    .toEqual([]);
  expect((await sh(agent.link, 'tty')).stdout.toString()).toBe('not a tty\n');
});
