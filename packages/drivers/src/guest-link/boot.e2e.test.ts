/**
 * The agent as pid 1 of a real microVM under TCG, cold boot with the image store's kernel and Debian root: what
 * only a machine can show. Prints its measurements. Needs qemu-system-x86_64, and the Debian archive when the
 * cache is empty.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@aviary/kernel';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureAgent } from '../../../../guest/build-agent.mjs';
import { createImageStore, defaultCacheDir } from '../images/index.ts';
import { connectGuest, type GuestLink } from './guest-link.ts';
import { collect, readUntil, run, sh } from './test-agent.ts';

const DISK = 2 << 30;

let dir: string;
let link: GuestLink;
let qemu: ChildProcess;
const measured: Record<string, string> = {};

async function ms<T>(what: string, action: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await action();
  measured[what] = `${(performance.now() - start).toFixed(1)} ms`;
  return result;
}

/** Megabytes (10^6 bytes) per second of what `action` moved. */
async function rate(what: string, action: () => Promise<number>): Promise<void> {
  const start = performance.now();
  const bytes = await action();
  measured[what] = `${(bytes / 1e3 / (performance.now() - start)).toFixed(0)} MB/s`;
}

const open_ = () =>
  connectGuest({
    ctlPath: join(dir, 'ctl'),
    bulkPath: join(dir, 'bulk'),
    log: silentLogger,
    timeoutMs: 90_000,
  });

const identity = (more: object = {}) => ({
  entropy: randomBytes(64),
  realtime: new Date(),
  hostname: 'cl-boot-test',
  machineId: randomBytes(16).toString('hex'),
  generation: 1,
  envs: {},
  user: 'root',
  ...more,
});

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'boot-'));
  const cacheDir = defaultCacheDir();
  const agentPath = join(dir, 'agent');
  await ensureAgent(agentPath);
  const images = createImageStore({ cacheDir, agentPath, log: silentLogger });
  const initramfs = await images.ensureInitramfs();
  const rootfs = await images.ensureRootfs('minimal');
  await copyFile(rootfs.path, join(dir, 'disk'));
  const disk = await open(join(dir, 'disk'), 'r+');
  await disk.truncate(Math.max(DISK, rootfs.sizeBytes + (64 << 20))); // larger than its file system, to be grown
  await disk.close();
  const port = (name: string) => [
    '-chardev',
    `socket,id=${name},path=${join(dir, name)},server=on,wait=off`,
    '-device',
    `virtserialport,chardev=${name},name=${name}`,
  ];
  const args = [
    ...['-M', 'microvm,x-option-roms=off,pit=on,pic=off,rtc=off,isa-serial=off,acpi=on,pcie=off,usb=off'],
    ...[
      '-accel',
      'tcg',
      '-cpu',
      'max',
      '-smp',
      '1',
      '-m',
      '256',
      '-nodefaults',
      '-no-user-config',
      '-nographic',
    ],
    ...['-no-reboot', '-kernel', initramfs.kernel.vmlinuz, '-initrd', initramfs.path],
    ...[
      '-append',
      `quiet loglevel=1 panic=-1 reboot=t tsc=reliable no_timer_check norandmaps tsc_early_khz=${await tscKhz()}`,
    ],
    ...['-device', 'virtio-serial-device,max_ports=3', ...port('ctl'), ...port('bulk')],
    ...[
      '-drive',
      `if=none,id=d,file=${join(dir, 'disk')},format=raw`,
      '-device',
      'virtio-blk-device,drive=d',
    ],
    ...['-netdev', 'user,id=n,restrict=on', '-device', 'virtio-net-device,netdev=n'],
  ];
  qemu = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  link = await ms('cold boot to greeting', open_);
}, 600_000);

afterAll(async () => {
  link?.close();
  qemu?.kill('SIGKILL');
  if (dir) await rm(dir, { recursive: true, force: true });
  console.log(measured);
});

async function tscKhz(): Promise<number> {
  const mhz = /cpu MHz\s*:\s*([\d.]+)/.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1];
  return Math.round(Number(mhz) * 1000);
}

/** CPU time of QEMU so far, in ticks of 10 ms. */
async function ticks(): Promise<number> {
  const fields = (await readFile(`/proc/${qemu.pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

const text = async (script: string) => (await sh(link, script)).stdout.toString().trim();

describe('pid 1', () => {
  test('has made the system that programs expect', async () => {
    await ms('first restore', () => link.restore(identity()));
    await ms('first exec of a shell', () => sh(link, 'true'));
    expect(await text('cat /proc/1/comm; cat /proc/1/oom_score_adj /proc/self/oom_score_adj')).toBe(
      'init\n-1000\n0',
    );
    const kinds = 'for d in / /proc /sys /dev/pts /dev/shm /run /sys/fs/cgroup; do stat -f -c %T $d; done';
    expect((await text(kinds)).split('\n')).toEqual([
      'ext2/ext3',
      'proc',
      'sysfs',
      'devpts',
      'tmpfs',
      'tmpfs',
      'cgroup2fs',
    ]);
    expect(
      await text(
        'stat -c %a /tmp /dev/ptmx; echo x > /dev/stderr; cat <(echo fd)'.replace(
          'cat <(echo fd)',
          'ls -d /dev/fd',
        ),
      ),
    ).toBe('1777\n666\n/dev/fd');
    expect(await text('ls /proc/self/fd | wc -l')).toBe('4'); // 0, 1, 2 and the directory: nothing of the agent's
    expect(
      await text('cat /sys/class/net/lo/operstate /sys/class/net/eth0/address | wc -l; cat /etc/resolv.conf'),
    ).toContain('nameserver 10.0.2.3');
  });

  test('restore makes it another machine every time', async () => {
    const ask =
      'hostname; cat /etc/hostname /etc/machine-id /run/aviary/generation; grep 127.0.1.1 /etc/hosts; cat /proc/sys/kernel/random/boot_id';
    const one = identity({ hostname: 'cl-one', generation: 5 });
    await ms('warm restore', () => link.restore(one));
    const first = (await text(ask)).split('\n');
    expect(first.slice(0, 5)).toEqual(['cl-one', 'cl-one', one.machineId, '5', '127.0.1.1 cl-one']);
    expect(Math.abs(Number(await text('date +%s')) - Date.now() / 1000)).toBeLessThan(2);
    await link.restore(identity({ hostname: 'cl-two', generation: 6 }));
    const second = (await text(ask)).split('\n');
    expect(second.slice(0, 2)).toEqual(['cl-two', 'cl-two']);
    expect(second[4]).toBe('127.0.1.1 cl-two');
    expect(second[5]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
    expect(second[5]).not.toBe(first[5]);
  });

  test('grows the root file system when asked', async () => {
    const before = (await link.metrics()).diskTotalBytes;
    await ms('restore that grows the disk', () => link.restore(identity({ growDisk: true })));
    const after = (await link.metrics()).diskTotalBytes;
    if (before < DISK * 0.9) expect(after).toBeGreaterThan(before);
    expect(after).toBeGreaterThan(DISK * 0.9);
  });

  test('kills daemons that left their session, and reaps orphans', async () => {
    const daemons =
      'setsid sh -c "trap : HUP; sleep 5001 & sleep 5002" & (setsid setsid sleep 5003 &); sleep 0.3; echo up; wait';
    const process = await link.exec({ argv: ['sh', '-c', daemons], background: true });
    await readUntil(process, 'up');
    await link.kill(process.tag, 'SIGKILL');
    expect((await collect(process)).exit.signal).toBe(9);
    await expect
      .poll(async () => (await link.processes()).filter((info) => info.args[0]?.startsWith('500')))
      .toEqual([]);
    for (let i = 0; i < 20; i++) await run(link, ['sh', '-c', '(true &)']);
    expect(await text('grep -l "^State:.Z" /proc/[0-9]*/status | wc -l')).toBe('0');
  });

  test('kills a tree whose first process has ended already', async () => {
    const process = await link.exec({
      argv: ['sh', '-c', 'setsid sleep 5004 & echo left'],
      background: true,
    });
    expect((await collect(process)).stdout.toString()).toBe('left\n');
    await link.kill(process.tag, 'SIGKILL');
    await expect
      .poll(async () => (await link.processes()).some((info) => info.args[0] === '5004'))
      .toBe(false);
    await expect(link.kill(process.tag, 'SIGKILL')).rejects.toMatchObject({ code: 'process_not_found' });
  });

  test('survives a process that eats all memory', { timeout: 60_000 }, async () => {
    const said = await sh(link, 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done');
    expect(said.exit.code).not.toBe(0);
    expect(await link.ping()).toBeLessThan(2000);
  });
});

describe('the link', () => {
  test('runs a terminal', async () => {
    const process = await link.exec({ argv: ['bash'], pty: { cols: 90, rows: 30 } });
    await process.write(Buffer.from('stty size; exit 7\n'));
    const said = await collect(process);
    expect([said.exit.code, said.pty.toString().includes('30 90')]).toEqual([7, true]);
  });

  test('comes back after half frames and a flood that nobody reads', { timeout: 120_000 }, async () => {
    const process = await link.exec({
      argv: ['sh', '-c', 'yes | head -c 3000000; echo end'],
      background: true,
    });
    for (let i = 0; i < 10; i++) {
      link.exec({ argv: ['cat', '/dev/zero'], tag: `flood-${i}` }).catch(() => undefined);
      const body = (async function* () {
        for (;;) yield Buffer.alloc(50_000, 0xa5);
      })();
      link.writeFile('/root/never', body).catch(() => undefined);
      await link.ping();
      link.close();
      await spill(join(dir, 'ctl'), randomBytes(10 + i * 7));
      await spill(join(dir, 'bulk'), Buffer.alloc(3000 + i, 0xa5));
      link = await open_();
      await link.kill(`flood-${i}`, 'SIGKILL');
    }
    expect((await link.list('/root', 1)).map((file) => file.name)).not.toContain('never');
    const late = await collect(await link.attach(process.tag));
    expect(late.stdout.subarray(-4).toString()).toBe('end\n');
  });

  test('costs nothing while idle, with and without a host', async () => {
    await link.ping();
    const quiet = async () => {
      const before = await ticks();
      await new Promise((resolve) => setTimeout(resolve, 2000)); // the measured interval
      return (await ticks()) - before;
    };
    expect(await quiet()).toBeLessThan(20);
    link.close();
    expect(await quiet()).toBeLessThan(20);
    link = await ms('reconnect after a while', open_);
    for (let i = 0; i < 10; i++) {
      link.close();
      await new Promise((resolve) => setTimeout(resolve, i * 20)); // every distance between going and coming
      link = await open_();
    }
  });

  test('moves large files and much output whole; prints how fast', { timeout: 120_000 }, async () => {
    const times: number[] = [];
    for (let i = 0; i < 60; i++) {
      const start = performance.now();
      await run(link, ['true']);
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    measured['warm exec of true, p50 / p95'] = `${times[30]!.toFixed(1)} / ${times[57]!.toFixed(1)} ms`;
    await link.ping();
    await ms('ping', () => link.ping());
    await rate('output of head, guest to host', async () => {
      const process = await link.exec({ argv: ['head', '-c', '64000000', '/dev/zero'] });
      const { length } = (await collect(process)).stdout;
      expect(length).toBe(64_000_000);
      return length;
    });
    for (const path of ['/dev/shm/big', '/root/big']) {
      await rate(`upload to ${path}`, async () => {
        const body = (async function* () {
          for (let i = 0; i < 640; i++) yield Buffer.alloc(65536, i);
        })();
        const { size } = await link.writeFile(path, body);
        expect(size).toBe(640 * 65536);
        return size;
      });
      await rate(`download of ${path}`, async () => {
        let size = 0;
        for await (const part of (await link.readFile(path)).body) size += (part as Buffer).length;
        expect(size).toBe(640 * 65536);
        return size;
      });
      await link.remove(path);
    }
  });
});

/** Writes raw bytes to a port, then leaves: what a killed control plane can leave behind. */
function spill(path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.on('error', reject);
    socket.resume();
    socket.write(bytes, () => socket.destroy());
    socket.on('close', () => resolve());
  });
}
