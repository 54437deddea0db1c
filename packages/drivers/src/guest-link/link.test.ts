/** The link itself: reconnects, half frames, lost capsules, identity, many streams. The real agent on this machine. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { connect as dialNow } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { silentLogger } from '@aviary/kernel';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeFrame } from './codec.ts';
import { connectGuest } from './guest-link.ts';
import { collect, readUntil, run, sh, startTestAgent, type TestAgent } from './test-agent.ts';
import * as wire from './wire.ts';
import { T } from './wire.ts';

let agent: TestAgent;
beforeEach(async () => {
  agent = await startTestAgent();
});
afterEach(() => agent?.stop());

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const identity = (more: object = {}) => ({
  entropy: randomBytes(64),
  realtime: new Date(),
  hostname: 'cl-x',
  machineId: '0'.repeat(32),
  generation: 3,
  envs: { MODE: 'test' },
  user: 'nobody',
  ...more,
});

/** Writes raw bytes to a port of the agent, then leaves. */
function spill(path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = dialNow({ path });
    socket.on('error', reject);
    socket.end(bytes);
    socket.on('close', () => resolve());
    socket.resume();
  });
}

describe('a host that comes back', () => {
  test('finds processes and their output; the old link is over', async () => {
    const process = await agent.link.exec({
      argv: ['sh', '-c', 'echo before; read x; echo after $x'],
      stdin: true,
      background: true,
    });
    await readUntil(process, 'before');
    const old = agent.link;
    agent.link = await agent.reconnect();
    await expect(old.closed).resolves.toContain('connection');
    await expect(process.exit).rejects.toEqual(code('capsule_lost'));
    await expect(old.ping()).rejects.toEqual(code('capsule_lost'));
    const again = await agent.link.attach(process.tag);
    await again.write(Buffer.from('all\n'));
    expect((await collect(again)).stdout.toString()).toBe('before\nafter all\n');
    expect(agent.link.greeting.boot).toBe(old.greeting.boot);
  });

  test('gets through after frames that were cut anywhere, in both ports and in mid-stream', {
    timeout: 60_000,
  }, async () => {
    const whole = encodeFrame(12345, 7, T.EXEC, 0, randomBytes(900));
    for (let i = 0; i < 40; i++) {
      agent.link.exec({ argv: ['head', '-c', '5000000', '/dev/zero'] }).catch(() => undefined);
      agent.link.writeFile(`${agent.dir}/cut`, endless()).catch(() => undefined);
      agent.link.close();
      const cut = whole.subarray(0, (i * 23) % whole.length);
      await spill(join(agent.dir, 'ctl'), cut);
      await spill(join(agent.dir, 'bulk'), cut);
      agent.link = await agent.reconnect();
      const said = await sh(agent.link, 'echo fine');
      expect(said.stdout.toString()).toBe('fine\n');
      expect((await agent.link.stat('/tmp')).type).toBe('directory');
    }
    await expect(agent.link.stat(`${agent.dir}/cut`)).rejects.toEqual(code('file_not_found'));
  });

  test('held nothing back while it was away', async () => {
    const script = 'head -c 3000000 /dev/zero; touch "$0/went-on"';
    await agent.link.exec({ argv: ['sh', '-c', script, agent.dir] });
    await agent.link.ping();
    expect(existsSync(join(agent.dir, 'went-on'))).toBe(false); // nobody reads, so it waits
    agent.link.close();
    await expect.poll(() => existsSync(join(agent.dir, 'went-on')), { timeout: 5000 }).toBe(true);
  });

  test('the frames of another epoch are dropped', async () => {
    agent.link.close();
    await spill(
      join(agent.dir, 'ctl'),
      encodeFrame(1, 1, T.EXEC, 0, Buffer.from([1, 4, 0, 0, 116, 114, 117, 101])),
    );
    agent.link = await agent.reconnect();
    expect((await agent.link.processes()).filter((info) => info.tag !== '')).toEqual([]);
  });
});

async function* endless(): AsyncIterable<Uint8Array> {
  for (;;) yield Buffer.alloc(65536, 1);
}

describe('a capsule that dies', () => {
  test('fails everything that waits, with capsule_lost', async () => {
    const process = await agent.link.exec({ argv: ['sleep', '3'], stdin: true });
    const reading = collect(process);
    const upload = agent.link.writeFile(`${agent.dir}/x`, endless());
    const waiting = Promise.allSettled([reading, upload, process.exit]);
    agent.child.kill('SIGKILL');
    for (const result of await waiting)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'capsule_lost' } });
    await expect(agent.link.exec({ argv: ['true'] })).rejects.toEqual(code('capsule_lost'));
    await expect(agent.link.readFile('/etc/passwd')).rejects.toEqual(code('capsule_lost'));
  });

  test('a guest that never answers is a timeout', async () => {
    const nowhere = { ctlPath: join(agent.dir, 'no'), bulkPath: join(agent.dir, 'no'), log: silentLogger };
    await expect(connectGuest({ ...nowhere, timeoutMs: 30 })).rejects.toEqual(code('timeout'));
    agent.child.kill('SIGSTOP');
    const stuck = connectGuest({
      ctlPath: join(agent.dir, 'ctl'),
      bulkPath: join(agent.dir, 'bulk'),
      log: silentLogger,
      timeoutMs: 50,
    });
    await expect(stuck).rejects.toEqual(code('timeout'));
  });
});

describe('identity', () => {
  test('restore sets generation, default user and environment, before what is sent behind it', async () => {
    const restored = agent.link.restore(identity());
    const said = sh(agent.link, 'id -un; echo $MODE');
    await restored;
    expect((await said).stdout.toString()).toBe('nobody\ntest\n');
    expect(readFileSync(join(agent.dir, 'generation'), 'utf8')).toBe('3\n');
    await agent.link.restore(identity({ envs: {}, user: 'root' }));
    expect((await sh(agent.link, 'id -un; echo "[$MODE]"')).stdout.toString()).toBe('root\n[]\n');
  });

  test('can go with the greeting', async () => {
    agent.link.close();
    agent.link = await connectGuest({
      ctlPath: join(agent.dir, 'ctl'),
      bulkPath: join(agent.dir, 'bulk'),
      log: silentLogger,
      identity: identity({ generation: 9 }),
    });
    expect(readFileSync(join(agent.dir, 'generation'), 'utf8')).toBe('9\n');
  });

  test('after quiesce nothing comes until the host speaks', async () => {
    const process = await agent.link.exec({ argv: ['sh', '-c', 'sleep 0.1; echo late'], background: true });
    await agent.link.quiesce();
    let heard = false;
    const reading = readUntil(process, 'late').then(() => {
      heard = true;
    });
    await expect
      .poll(async () => readFileSync(`/proc/${process.pid}/stat`, 'utf8').length, { timeout: 1000 })
      .toBeGreaterThan(0)
      .catch(() => undefined);
    await new Promise((resolve) => globalThis.process.nextTick(resolve));
    expect(heard).toBe(false);
    await agent.link.ping();
    await reading;
  });
});

test('metrics and ping answer', async () => {
  const metrics = await agent.link.metrics();
  expect(metrics.memTotalBytes).toBeGreaterThan(metrics.memUsedBytes);
  expect(metrics.diskTotalBytes).toBeGreaterThan(metrics.diskUsedBytes);
  await run(agent.link, ['sh', '-c', 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done']);
  const { cpuPercent } = await agent.link.metrics();
  expect(cpuPercent).toBeGreaterThan(0);
  expect(cpuPercent).toBeLessThanOrEqual(100);
  expect(await agent.link.ping()).toBeLessThan(1000);
});

test('an idle agent does not spin', async () => {
  await run(agent.link, ['true']);
  await agent.link.ping();
  const status = () => readFileSync(`/proc/${agent.child.pid}/status`, 'utf8');
  const switches = () => Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status())![1]);
  const before = switches();
  // other work of this machine, in which an agent that spins would have its turns
  await promisify(execFile)('sleep', ['0.3']);
  expect(switches() - before).toBeLessThan(4); // what the last answer still woke
});

test('the numbers are those of the guest', () => {
  const header = readFileSync(new URL('../../../../guest/src/wire.h', import.meta.url), 'utf8');
  const numbers = (prefix: string) =>
    Object.fromEntries(
      [...header.matchAll(new RegExp(`^  ${prefix}_([A-Z_]+) = (0x[0-9a-f]+|\\d+),`, 'gm'))].map(
        ([, name, value]) => [name, Number(value)],
      ),
    );
  expect(numbers('T')).toEqual(wire.T);
  expect(numbers('F')).toEqual(wire.F);
});
