/** Commands: the real agent on this machine, driven through the whole link. Numbers are the cases of the house's list. */
import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect, readUntil, run, sh, startTestAgent, type TestAgent } from './test-agent.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await startTestAgent();
});
afterAll(() => agent?.stop());

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const gone = (pid: number) => !existsSync(`/proc/${pid}`);

describe('a foreground command', () => {
  test('separates stdout and stderr and keeps the exit code (37, 39, 57)', async () => {
    const said = await sh(agent.link, 'echo out; echo err >&2; exit 42');
    expect([said.stdout.toString(), said.stderr.toString(), said.exit]).toEqual([
      'out\n',
      'err\n',
      { code: 42, signal: null },
    ]);
  });

  test('passes arguments and bytes unchanged (38, 40, 41)', async () => {
    const odd = ['$HOME', 'a b', '!@#$%^&*()_+', 'two\nlines', 'ünï', ''];
    const said = await run(agent.link, ['printf', '%s\\0', ...odd]);
    expect(said.stdout.toString()).toBe(odd.map((arg) => `${arg}\0`).join(''));
    expect((await sh(agent.link, "printf '\\000\\377'")).stdout).toEqual(Buffer.from([0, 255]));
  });

  test('that does not exist says so and exits 127, one that may not run 126 (42)', async () => {
    const missing = await run(agent.link, ['no-such-program-here']);
    expect(missing.exit.code).toBe(127);
    expect(missing.stderr.toString()).toBe("cannot run 'no-such-program-here': no such program\n");
    const denied = await run(agent.link, ['/etc/passwd']);
    expect([denied.exit.code, denied.stderr.toString()]).toEqual([
      126,
      "cannot run '/etc/passwd': permission denied\n",
    ]);
  });

  test('is refused before it starts: cwd, user, size (43)', async () => {
    const refusal = (more: object) =>
      expect(agent.link.exec({ argv: ['true'], ...more })).rejects.toEqual(code('exec_failed'));
    await refusal({ cwd: '/no/such/place' });
    await refusal({ cwd: '/etc/passwd' });
    await refusal({ user: 'nobody-of-this-name' });
    await refusal({ cwd: '/root', user: 'nobody' });
    await expect(agent.link.exec({ argv: ['true', 'x'.repeat(5 << 20)] })).rejects.toEqual(
      code('exec_failed'),
    );
    await expect(agent.link.exec({ argv: ['true', 'x'.repeat(200_000)] })).rejects.toEqual(
      code('exec_failed'),
    );
    await expect(agent.link.exec({ argv: [] })).rejects.toEqual(code('invalid_request'));
  });

  test('takes arguments larger than a frame', async () => {
    const args = Array.from({ length: 5 }, (_, i) => String(i).repeat(60_000));
    const said = await run(agent.link, [
      'sh',
      '-c',
      'for a; do printf "%s" "$a" | wc -c; done',
      'x',
      ...args,
    ]);
    expect(said.stdout.toString()).toBe('60000\n'.repeat(5));
  });

  test('gets its environment, user and directory (44)', async () => {
    const said = await sh(agent.link, 'echo "$FOO $HOME $USER $LANG"; id -un; pwd', {
      envs: { FOO: 'bar=baz', LANG: 'C' },
      user: 'nobody',
      cwd: '/tmp',
    });
    expect(said.stdout.toString()).toBe('bar=baz /nonexistent nobody C\nnobody\n/tmp\n');
    expect((await sh(agent.link, 'echo "[$FOO]"; pwd')).stdout.toString()).toBe('[]\n/root\n');
  });

  test('reads end of file at once without stdin (46), heredocs work (47)', async () => {
    expect((await sh(agent.link, 'read x')).exit.code).toBe(1);
    expect((await sh(agent.link, 'cat <<E\nline $((1+1))\nE')).stdout.toString()).toBe('line 2\n');
  });

  test('ends with its process, not with its pipes, and a child that goes on writing lives (48)', async () => {
    const said = await sh(
      agent.link,
      '(for i in 1 2 3 4 5 6 7 8; do sleep 0.1; echo x; done; touch "$0/lived") & echo hi'.replace(
        '$0',
        agent.dir,
      ),
    );
    expect(said.stdout.toString()).toBe('hi\n');
    expect(existsSync(`${agent.dir}/lived`)).toBe(false);
    await expect.poll(() => existsSync(`${agent.dir}/lived`), { timeout: 5000 }).toBe(true);
  });

  test('streams 100 MB completely with bounded memory (49)', { timeout: 60_000 }, async () => {
    const process = await agent.link.exec({ argv: ['head', '-c', String(100 << 20), '/dev/zero'] });
    const before = globalThis.process.memoryUsage().rss;
    let size = 0;
    let most = 0;
    for await (const piece of process.output) {
      expect(piece.offset).toBe(size);
      size += piece.data.length;
      most = Math.max(most, globalThis.process.memoryUsage().rss);
    }
    expect(size).toBe(100 << 20);
    expect((await process.exit).code).toBe(0);
    expect(most - before).toBeLessThan(120 << 20);
  });

  test('20 at once do not mix their output (50); no zombies after 100 (69)', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => sh(agent.link, `for n in 1 2 3 4 5; do echo line-${i}; done`)),
    );
    for (const [i, said] of all.entries()) expect(said.stdout.toString()).toBe(`line-${i}\n`.repeat(5));
    for (let i = 0; i < 5; i++)
      await Promise.all(Array.from({ length: 20 }, () => run(agent.link, ['true'])));
    const left = await run(agent.link, ['sh', '-c', 'ps -o stat= --ppid "$PPID"']);
    expect(left.stdout.toString()).not.toContain('Z');
  });

  test('a signal is 128 + its number', async () => {
    expect((await sh(agent.link, 'kill -TERM $$')).exit).toEqual({ code: 143, signal: 15 });
  });

  test('stdin arrives whole and in order and can be closed', { timeout: 30_000 }, async () => {
    const process = await agent.link.exec({ argv: ['sha256sum'], stdin: true });
    const { createHash, randomBytes } = await import('node:crypto');
    const data = randomBytes(3_000_001);
    await process.write(data);
    await process.closeStdin();
    expect((await collect(process)).stdout.toString()).toContain(
      createHash('sha256').update(data).digest('hex'),
    );
  });

  test('writing to a process that closed its stdin, or ended, fails', async () => {
    const process = await agent.link.exec({
      argv: ['sh', '-c', 'exec <&-; echo closed; sleep 100'],
      stdin: true,
    });
    await readUntil(process, 'closed');
    await expect(process.write(Buffer.alloc(200_000))).rejects.toEqual(code('conflict'));
    await agent.link.kill(process.tag, 'SIGKILL');
    expect((await process.exit).signal).toBe(9);
    await expect(process.write(Buffer.from('x'))).rejects.toThrow();
  });
});

describe('a slow or absent reader', () => {
  test('holds back its own process only, and gets everything in the end', async () => {
    const slow = await agent.link.exec({ argv: ['head', '-c', '3000000', '/dev/zero'] });
    expect((await sh(agent.link, 'echo quick')).stdout.toString()).toBe('quick\n');
    expect((await agent.link.processes()).some((info) => info.tag === slow.tag)).toBe(true);
    const said = await collect(slow);
    expect([said.stdout.length, said.lost, said.exit.code]).toEqual([3_000_000, 0, 0]);
  });

  test('a detached foreground process goes on (52)', async () => {
    const script = 'until [ -e "$0/gate" ]; do sleep 0.01; done; yes | head -c 5000000; touch "$0/went-on"';
    const process = await agent.link.exec({ argv: ['sh', '-c', script, agent.dir] });
    process.detach();
    await expect(process.exit).rejects.toEqual(code('conflict'));
    writeFileSync(`${agent.dir}/gate`, '');
    await expect.poll(() => existsSync(`${agent.dir}/went-on`), { timeout: 5000 }).toBe(true);
  });

  test('detaching from an ended process gives its exit without the output', async () => {
    const process = await agent.link.exec({ argv: ['sh', '-c', 'echo unread; exit 4'] });
    await collect(await agent.link.attach(process.tag));
    await agent.link.ping(); // so that its exit has come to both
    process.detach();
    expect((await process.exit).code).toBe(4);
  });
});

describe('background processes', () => {
  test('have tags, are listed, replay and keep their exit (59, 60, 65, 66)', async () => {
    const first = await agent.link.exec({
      argv: ['sh', '-c', 'echo one; echo two >&2; read x; echo $x; exit 5'],
      background: true,
      stdin: true,
      tag: 'worker',
    });
    expect(first.tag).toBe('worker');
    expect(await agent.link.processes()).toContainEqual({
      pid: first.pid,
      tag: 'worker',
      cmd: 'sh',
      args: ['-c', 'echo one; echo two >&2; read x; echo $x; exit 5'],
    });
    await expect(agent.link.exec({ argv: ['true'], tag: 'worker' })).rejects.toEqual(
      code('process_tag_taken'),
    );
    await readUntil(first, 'two');
    const second = await agent.link.attach('worker');
    const third = await agent.link.attach(String(first.pid), { stdout: 4 });
    await first.write(Buffer.from('three\n'));
    const [two, three] = await Promise.all([collect(second), collect(third)]);
    expect([two.stdout.toString(), two.stderr.toString(), two.exit.code]).toEqual([
      'one\nthree\n',
      'two\n',
      5,
    ]);
    expect([three.stdout.toString(), three.lost]).toEqual(['three\n', 0]);
    const later = await collect(await agent.link.attach('worker'));
    expect([later.stdout.toString(), later.exit]).toEqual(['one\nthree\n', { code: 5, signal: null }]);
    const again = await run(agent.link, ['sh', '-c', 'exit 6'], { tag: 'worker' });
    expect(again.exit.code).toBe(6);
    expect((await collect(await agent.link.attach('worker'))).exit.code).toBe(6);
    await expect(agent.link.attach('nobody')).rejects.toEqual(code('process_not_found'));
    await expect(agent.link.attach('999999')).rejects.toEqual(code('process_not_found'));
  });

  test('generated tags have their form; a number is no tag', async () => {
    const process = await agent.link.exec({ argv: ['true'] });
    expect(process.tag).toMatch(/^proc-[0-9a-f]{8}$/);
    await process.exit;
    await expect(agent.link.exec({ argv: ['true'], tag: '123' })).rejects.toEqual(code('invalid_request'));
  });

  test('an attachment that falls behind is told how much it lost', async () => {
    const process = await agent.link.exec({
      argv: ['sh', '-c', 'head -c 2000000 /dev/zero; echo end'],
      background: true,
    });
    process.detach();
    await expect
      .poll(async () => (await agent.link.processes()).some((info) => info.tag === process.tag))
      .toBe(false);
    const late = await collect(await agent.link.attach(process.tag));
    expect(late.stdout.subarray(-4).toString()).toBe('end\n');
    expect(late.stdout.length).toBe(256 << 10);
    expect(late.lost + late.stdout.length).toBe(2_000_004);
  });

  test('kill takes the whole tree (61, 62), SIGTERM can be caught (63)', async () => {
    const id = `1${globalThis.process.pid}`; // other suites run on this machine too
    const process = await agent.link.exec({
      argv: [
        'sh',
        '-c',
        `sleep 41.${id} & (sleep 42.${id} & sh -c "sleep 43.${id} & wait") & sleep 0.2; echo up; wait`,
      ],
      background: true,
    });
    await readUntil(process, 'up');
    await agent.link.kill(process.tag, 'SIGKILL');
    expect((await collect(process)).exit).toEqual({ code: 137, signal: 9 });
    await expect.poll(() => gone(process.pid)).toBe(true);
    const rest = (await agent.link.processes()).filter((info) => info.args[0]?.endsWith(`.${id}`));
    expect(rest).toEqual([]);
    const stubborn = await agent.link.exec({
      argv: ['sh', '-c', 'trap "echo no" TERM; echo ready; while :; do sleep 0.05; done'],
      background: true,
    });
    await readUntil(stubborn, 'ready');
    await agent.link.kill(String(stubborn.pid), 'SIGTERM');
    expect(await readUntil(stubborn, 'no')).toContain('no');
    await agent.link.kill(stubborn.tag, 'SIGKILL');
    expect((await collect(stubborn)).exit.signal).toBe(9);
    await expect(agent.link.kill(stubborn.tag, 'SIGKILL')).rejects.toEqual(code('process_not_found'));
    await expect(agent.link.kill('nothing', 'SIGTERM')).rejects.toEqual(code('process_not_found'));
  });
});
