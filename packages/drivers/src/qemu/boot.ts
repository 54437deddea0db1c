/** Boots a base template: kernel and image once through to an idle machine, which is kept. Inside the driver only. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, link, mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AviaryError, createRevert, randomHex } from '@aviary/kernel';
import { connectGuest } from '../guest-link/index.ts';
import { type DriverContext, hostTscKhz } from './context.ts';
import { createOverlay } from './disk.ts';
import { capsulePaths, discard, templatePaths } from './layout.ts';
import { killProcess, waitForEnd } from './lifetime.ts';
import { INSIDE, kernelCommandLine, machineArgs, OVERHEAD_MB } from './machine.ts';
import { saveDevices } from './migration.ts';
import { connectQmp } from './qmp.ts';
import type { TemplateRecord } from './records.ts';
import type { BootedTemplate, TemplateStore } from './templates.ts';

/** Root disk of a base template, MB. */
export const BASE_DISK_MB = 5120;

/** Programs run once before the template is taken, so that every clone has them in its page cache. */
const WARM_UP = [
  ['/bin/sh', '-c', 'true'],
  ['/bin/bash', '-c', 'ls / >/dev/null; cat /etc/os-release >/dev/null'],
  ['python3', '-c', 'import json, os, sys, subprocess'],
  ['git', '--version'],
] as const;

/** Which base to boot, and its revision. */
export interface BaseOrder {
  name: string;
  vcpus: number;
  memoryMb: number;
  revision: string;
}

const stopping = () =>
  new AviaryError('shutting_down', 'Aviary is stopping; the template is booted next time');

/** Rejects when the host is closed; what still talks to the machine by then fails with its end. */
function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(stopping());
    signal.addEventListener('abort', () => reject(stopping()), { once: true });
  });
  aborted.catch(() => undefined); // a boot that is over by then does not look
  return aborted;
}

/** Sizes and places are not part of a revision. */
const ANY_SIZE = {
  vcpus: 1,
  memoryMb: 1,
  rootfs: '',
  templateDisk: false,
  egress: true,
  paths: INSIDE,
  readonlyMemoryOption: false,
};

/** Names everything that a base is booted from. */
export async function revisionOf(
  { images, qemuVersion, acceleration }: DriverContext,
  name: string,
): Promise<string> {
  const parts = [await images.kernel(), await images.initramfs(), await images.rootfs(name)];
  const start = { kind: 'boot', commandLine: kernelCommandLine(acceleration, 0) } as const;
  const machine = machineArgs({ ...ANY_SIZE, acceleration }, start);
  const hash = createHash('sha256').update(JSON.stringify([...parts, machine, qemuVersion]));
  return hash.digest('hex').slice(0, 12);
}

/** Boots a base once and keeps it as a template. On failure, or when `ended` aborts, nothing of it is left. */
export async function bootBase(
  context: DriverContext,
  store: Pick<TemplateStore, 'scratch' | 'adopt'>,
  { name, vcpus, memoryMb, revision }: BaseOrder,
  ended: AbortSignal,
): Promise<BootedTemplate> {
  const { layout, images, launcher, log, report } = context;
  const step = (text: string, percent: number | null) => report(`template ${name}`, { step: text, percent });
  const revert = createRevert(log);
  try {
    const [kernel, initramfs, image] = [
      await images.kernel(),
      await images.initramfs(),
      await images.rootfs(name),
    ];
    const rootfs = await linkImage(layout.images, image);
    step(`booting ${name} with ${vcpus} vCPU and ${memoryMb} MB once`, 0);

    const building = await store.scratch();
    revert.push('template directory', () => discard(layout, building));
    const inside = templatePaths(building);
    const boot = join(building, 'boot');
    await mkdir(boot);
    await copyFile(kernel, join(boot, 'vmlinuz'));
    await copyFile(initramfs, join(boot, 'initramfs'));
    await chmod(join(boot, 'vmlinuz'), 0o644);
    await chmod(join(boot, 'initramfs'), 0o644);
    const machineDir = join(building, 'machine');
    await mkdir(machineDir);
    const capsule = capsulePaths(machineDir);
    await createOverlay(capsule.disk, join(layout.images, rootfs), 'raw', BASE_DISK_MB);

    const uid = context.uids.take();
    revert.push('user id', () => context.uids.release(uid));
    if (process.getuid?.() === 0) await chown(building, uid, uid);
    const unit = `boot-${randomHex(6)}`;
    if (ended.aborted) throw stopping();
    revert.push('control group', () => launcher.cleanUp(unit));
    const started = await launcher.launch({
      name: unit,
      uid,
      machine: { vcpus, memoryMb, rootfs, templateDisk: false },
      start: { kind: 'boot', commandLine: kernelCommandLine(context.acceleration, hostTscKhz()) },
      capsule,
      templateDir: building,
      writableTemplate: true,
      bootDir: boot,
      stateFile: null,
      limits: { memoryMb: memoryMb + OVERHEAD_MB, cpus: vcpus + 1, processes: 256 },
    });
    revert.push('process', () => killProcess(started.pid, started.startTime));
    const stopped = whenAborted(ended);
    const qmp = await Promise.race([connectQmp(capsule.qmp), stopped]);
    revert.push('qmp', () => qmp.close());

    const timeoutMs = 120_000;
    const link = connectGuest({ ctlPath: capsule.ctl, bulkPath: capsule.bulk, log, timeoutMs });
    const guest = await Promise.race([link, stopped]);
    step('running its programs once', 60);
    for (const argv of WARM_UP) {
      const process = await guest.exec({ argv });
      for await (const _ of process.output);
      const { code } = await process.exit;
      if (code !== 0)
        throw new AviaryError('internal', `${argv[0]} exited with ${code} in the fresh template`);
    }
    const sync = await guest.exec({ argv: ['sync'] });
    await sync.exit;
    await guest.quiesce();
    guest.close();
    step('keeping its memory', 90);
    await qmp.execute('stop');
    await saveDevices(
      qmp,
      `${launcher.confined || process.getuid?.() === 0 ? INSIDE.template : building}/devices`,
    );
    await qmp.execute('quit').catch(() => undefined); // the connection may end before the answer
    await qmp.closed;
    await waitForEnd(started.pid, started.startTime);
    await launcher.cleanUp(unit);

    await rename(capsule.disk, inside.seed);
    await rm(machineDir, { recursive: true });
    await rm(boot, { recursive: true });
    for (const path of [building, inside.mem, inside.devices, inside.seed]) {
      if (process.getuid?.() === 0) await chown(path, 0, 0);
      await chmod(path, path === building ? 0o755 : 0o644);
    }
    const record: TemplateRecord = {
      kind: 'base',
      name,
      vcpus,
      memoryMb,
      diskMb: BASE_DISK_MB,
      rootfs,
      templateDisk: false,
      qemuVersion: context.qemuVersion,
      revision,
      createdAt: context.now().toISOString(),
    };
    const template = await store.adopt(building, `${name}-v${vcpus}-m${memoryMb}-${revision}`, record);
    revert.commit();
    context.uids.release(uid);
    step(`${name} with ${vcpus} vCPU and ${memoryMb} MB is ready`, 100);
    return template;
  } catch (error) {
    await revert.run();
    throw error;
  }
}

/** The image under its own name in the data directory, so that the cache may be emptied. */
async function linkImage(imagesDir: string, image: string): Promise<string> {
  const name = `${createHash('sha256').update(image).digest('hex').slice(0, 8)}-${basename(image)}`;
  const target = join(imagesDir, name);
  if (existsSync(target)) return name;
  const temporary = `${target}.part`;
  await rm(temporary, { force: true });
  await link(image, temporary).catch(() => copyFile(image, temporary)); // another file system cannot be linked to
  await chmod(temporary, 0o644);
  await rename(temporary, target);
  return name;
}
