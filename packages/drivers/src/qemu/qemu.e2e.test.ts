/** The QEMU driver on real machines: conformance, uniqueness of clones, isolation, recovery, growth of disks. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { HostEvent } from '@aviary/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capsuleHostConformance, defaultSpec } from '../conformance/index.ts';
import type { GuestLink } from '../guest-link/index.ts';
import type { QemuHost } from './index.ts';
import type { RunRecord } from './records.ts';
import { openTestHost, testDataDir } from './testing.ts';

const run = promisify(execFile);

capsuleHostConformance('QEMU', async () => {
  const data = await testDataDir();
  const host = await openTestHost(data.dir);
  return {
    host,
    close: async () => {
      await host.close();
      await data.remove();
    },
  };
});

describe('QEMU capsules', () => {
  let data: Awaited<ReturnType<typeof testDataDir>>;
  let host: QemuHost;

  beforeAll(async () => {
    data = await testDataDir();
    host = await openTestHost(data.dir, 4);
    await host.warmUp({ kind: 'base', name: 'minimal' }, 1, 512);
  });
  afterAll(async () => {
    await host?.close();
    await data.remove();
  });

  afterEach(async () => {
    for (const { id } of await host.list()) await host.destroy(id);
  });

  const sh = async (id: string, script: string) => {
    const guest = await host.guest(id);
    const process = await guest.exec({ argv: ['/bin/sh', '-c', script] });
    let printed = '';
    for await (const { data } of process.output) printed += data.toString();
    await process.exit;
    return printed.trim();
  };
  const create = async (more: object = {}) => {
    const spec = { ...defaultSpec(), ...more };
    await host.create(spec);
    return spec.id;
  };
  const processOf = async (id: string): Promise<RunRecord> =>
    JSON.parse(await readFile(join(data.dir, 'capsules', id, 'run.json'), 'utf8'));

  test('20 clones and their source differ in randomness, uuid, machine id, boot id and name, and know the time', async () => {
    const source = await create();
    const children = Array.from({ length: 6 }, () => defaultSpec());
    await host.fork(source, children);
    const others = await Promise.all(Array.from({ length: 14 }, () => create()));
    const ids = [source, ...children.map(({ id }) => id), ...others];
    const script =
      'head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid /etc/machine-id /proc/sys/kernel/random/boot_id; hostname; date +%s.%N';
    const seconds = () => Date.now() / 1000;
    const answers = await Promise.all(
      ids.map(async (id) => {
        const before = seconds();
        const lines = (await sh(id, script)).split('\n');
        // the machine is shared: what the command waited for is no error of the clock
        return {
          values: lines.slice(0, 5),
          early: before - Number(lines[5]),
          late: Number(lines[5]) - seconds(),
        };
      }),
    );
    for (let line = 0; line < 5; line++) {
      expect(new Set(answers.map(({ values }) => values[line])).size).toBe(ids.length);
    }
    for (const { early, late } of answers) {
      expect(early).toBeLessThan(1);
      expect(late).toBeLessThan(1);
    }
  });

  test('frozen processes stand still until they are let go, while the agent answers', async () => {
    const id = await create();
    await sh(
      id,
      'echo 0 > /tmp/count; (i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done) >/dev/null 2>&1 &',
    );
    const link = (await host.guest(id)) as GuestLink;
    const count = async () => Number(await text((await link.readFile('/tmp/count')).body));
    const running = async () => {
      for (const before = await count(); (await count()) === before; );
    };
    await running();
    await link.quiesce({ freeze: true });
    const frozen = await count();
    for (let n = 0; n < 20; n++) expect(await count()).toBe(frozen);
    await link.thaw();
    await running();
  });

  test('programs that draw random numbers without pause draw different ones in each fork', async () => {
    const source = await create();
    await sh(
      source,
      '(while :; do head -c 12 /dev/urandom | od -An -tx1; done > /tmp/drawn) >/dev/null 2>&1 &',
    );
    const children = Array.from({ length: 4 }, () => defaultSpec());
    await host.fork(source, children);
    const drawn = await Promise.all(
      [source, ...children.map(({ id }) => id)].map(async (id) => {
        await sh(
          id,
          'n=$(wc -l < /tmp/drawn); while [ $(wc -l < /tmp/drawn) -lt $((n + 50)) ]; do sleep 0.02; done',
        );
        return (await sh(id, 'cat /tmp/drawn')).split('\n');
      }),
    );
    let common = 0;
    while (drawn.every((lines) => lines[common] === drawn[0]![common])) common++;
    const own = drawn.flatMap((lines) => lines.slice(common, -1));
    expect(own.length).toBeGreaterThan(5 * 40);
    expect(new Set(own).size).toBe(own.length);
  });

  test('a machine is confined: own user, no capabilities, seccomp, its own small view of the files', async () => {
    const [one, two] = [await create(), await create()];
    const status = async (id: string) => readFile(`/proc/${(await processOf(id)).pid}/status`, 'utf8');
    const uid = (text: string) => /^Uid:\s+(\d+)/m.exec(text)?.[1];
    const [first, second] = [await status(one), await status(two)];
    expect(uid(first)).not.toBe('0');
    expect(uid(first)).not.toBe(uid(second));
    expect(first).toMatch(/^CapEff:\s+0+$/m);
    expect(first).toMatch(/^CapBnd:\s+0+$/m);
    expect(first).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(first).toMatch(/^Seccomp:\s+2$/m);
    const { pid } = await processOf(one);
    expect((await readdir(`/proc/${pid}/root`)).sort()).toEqual(
      expect.not.arrayContaining(['home', 'root', 'proc', 'sys', 'run', 'var']),
    );
    for (const space of ['mnt', 'pid', 'net', 'ipc', 'uts']) {
      const [inside, outside] = await Promise.all([
        run('readlink', [`/proc/${pid}/ns/${space}`]),
        run('readlink', [`/proc/self/ns/${space}`]),
      ]);
      expect(inside.stdout).not.toBe(outside.stdout);
    }
    await Promise.all([host.destroy(one), host.destroy(two)]);
  });

  test('a guest reaches neither the host, nor private, link-local or metadata addresses', async () => {
    const id = await create();
    const server = createServer((_request, response) => response.end('secret of the host'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const { port } = server.address() as { port: number };
    const own = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => address);
    const targets = [
      ...own,
      '10.0.2.2',
      '10.0.2.4',
      '169.254.169.254',
      '192.168.1.1',
      '172.17.0.1',
      '100.64.0.1',
    ];
    for (const address of targets) {
      const code = await sh(id, `curl -s -m 2 http://${address}:${port}/; echo $?`);
      expect(`${address} ${code}`).toMatch(/ (7|28|52|56)$/);
    }
    server.close();
    await host.destroy(id);
  });

  test('a machine that is killed is reported with a reason, and can be destroyed', async () => {
    const id = await create();
    const died = new Promise<HostEvent>((resolve) => {
      const quiet = host.subscribe((event) => {
        if (event.type === 'capsule.died') {
          quiet();
          resolve(event);
        }
      });
    });
    process.kill((await processOf(id)).pid, 'SIGKILL');
    expect(await died).toMatchObject({ type: 'capsule.died', id });
    expect((await host.list()).find((capsule) => capsule.id === id)).toMatchObject({ state: 'dead' });
    await host.destroy(id);
    expect(existsSync(join(data.dir, 'capsules', id))).toBe(false);
  });

  test('other sizes: two processors, 256 MB and a larger disk', async () => {
    const id = await create({ vcpus: 2, memoryMb: 256, diskMb: 8192 });
    expect(await sh(id, 'nproc')).toBe('2');
    expect(Number(await sh(id, "awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo"))).toBeLessThan(256);
    expect(Number(await sh(id, "df -m / | awk 'NR==2 {print $2}'"))).toBeGreaterThan(7800);
    expect(await sh(id, 'dd if=/dev/urandom of=/big bs=1M count=64 2>/dev/null; stat -c %s /big')).toBe(
      '67108864',
    );
    await host.pause(id);
    await host.resume(id);
    expect(await sh(id, 'nproc; stat -c %s /big')).toBe('2\n67108864');
    await host.destroy(id);
  });

  test('another process takes over what runs, what is paused, and removes what is not whole', async () => {
    const running = await create();
    await sh(running, 'sleep 3600 & echo $! > /tmp/pid');
    const paused = await create();
    await sh(paused, 'echo kept > /tmp/kept');
    await host.pause(paused);
    const dead = await create();
    const { pid } = await processOf(dead);
    await host.close();
    process.kill(pid, 'SIGKILL');

    host = await openTestHost(data.dir);
    const states = Object.fromEntries((await host.list()).map(({ id, state }) => [id, state]));
    expect(states).toEqual({ [running]: 'running', [paused]: 'paused', [dead]: 'dead' });
    expect(await sh(running, 'kill -0 $(cat /tmp/pid) && echo alive')).toBe('alive');
    await host.resume(paused);
    expect(await sh(paused, 'cat /tmp/kept')).toBe('kept');
    for (const id of [running, paused, dead]) await host.destroy(id);
    expect(await readdir(join(data.dir, 'capsules'))).toEqual([]);
    expect(await readdir(join(data.dir, 'pool'))).toEqual([]);
  });
});
