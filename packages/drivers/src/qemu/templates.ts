/**
 * Booted templates on this host: boots a base once per size, keeps snapshots, finds both after a restart and
 * removes what nobody needs. Inside the driver only.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, link, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AviaryError, createRevert, randomHex } from '@aviary/kernel';
import type { TemplateOnHost, TemplateRef } from '@aviary/protocol';
import { connectGuest } from '../guest-link/index.ts';
import { type DriverContext, hostTscKhz } from './context.ts';
import { createOverlay } from './disk.ts';
import { processStartTime } from './launcher.ts';
import {
  capsulePaths,
  discard,
  readJson,
  syncPath,
  type TemplatePaths,
  templatePaths,
  writeJson,
} from './layout.ts';
import { INSIDE, kernelCommandLine, OVERHEAD_MB } from './machine.ts';
import { saveDevices } from './migration.ts';
import { connectQmp } from './qmp.ts';
import type { TemplateRecord } from './records.ts';

/** Root disk of a base template, MB. */
export const BASE_DISK_MB = 5120;

/** Programs run once before the template is taken, so that every clone has them in its page cache. */
const WARM_UP = [
  ['/bin/sh', '-c', 'true'],
  ['/bin/bash', '-c', 'ls / >/dev/null; cat /etc/os-release >/dev/null'],
  ['python3', '-c', 'import json, os, sys, subprocess'],
  ['git', '--version'],
] as const;

/** A template ready for cloning. */
export interface BootedTemplate {
  /** Directory name. */
  key: string;
  paths: TemplatePaths;
  record: TemplateRecord;
}

export interface TemplateStore {
  /** Boots a base of that size if need be. Errors: template_not_found. */
  ensure(ref: TemplateRef, vcpus: number, memoryMb: number): Promise<BootedTemplate>;
  /** Without building: null when it would have to be built or does not exist. */
  find(ref: TemplateRef, vcpus: number, memoryMb: number): BootedTemplate | null;
  byKey(key: string): BootedTemplate | null;
  /** Takes in a finished directory (renamed into place). */
  adopt(building: string, key: string, record: TemplateRecord): Promise<BootedTemplate>;
  /** A fresh directory to build a template in. */
  scratch(): Promise<string>;
  /** Hides a snapshot; its files go when `stillUsed` says no. */
  remove(id: string, stillUsed: (key: string) => boolean): Promise<void>;
  /** Deletes hidden templates that nobody uses any more. */
  collect(stillUsed: (key: string) => boolean): Promise<void>;
  snapshots(): Promise<TemplateOnHost[]>;
  /** Reads what is on disk; what is not whole is removed. */
  load(): Promise<void>;
}

export function createTemplateStore(context: DriverContext): TemplateStore {
  const { layout, log } = context;
  const known = new Map<string, BootedTemplate>();
  const booting = new Map<string, Promise<BootedTemplate>>();
  /** Base -> revision that it would be booted with now. */
  const current = new Map<string, string>();

  const find: TemplateStore['find'] = (ref, vcpus, memoryMb) => {
    for (const template of known.values()) {
      const { record, paths } = template;
      if (record.kind !== ref.kind || existsSync(paths.removed)) continue;
      if (ref.kind === 'snapshot' && record.name === ref.id) return template;
      const sameSize = record.vcpus === vcpus && record.memoryMb === memoryMb;
      if (ref.kind === 'base' && record.name === ref.name && sameSize) {
        if (record.revision === current.get(ref.name)) return template;
      }
    }
    return null;
  };

  const adopt: TemplateStore['adopt'] = async (building, key, record) => {
    const target = join(layout.templates, key);
    const inside = templatePaths(building);
    for (const file of [inside.mem, inside.devices, inside.seed]) await syncPath(file);
    await writeJson(inside.json, record, true);
    await discard(layout, target);
    await rename(building, target);
    await syncPath(layout.templates);
    const template = { key, paths: templatePaths(target), record };
    known.set(key, template);
    return template;
  };

  const scratch = async () => {
    const dir = join(layout.templates, `building-${randomHex(6)}`);
    await mkdir(dir, { mode: 0o755 });
    return dir;
  };

  const ensure: TemplateStore['ensure'] = async (ref, vcpus, memoryMb) => {
    if (ref.kind === 'base' && !current.has(ref.name))
      current.set(ref.name, await revisionOf(context, ref.name));
    const ready = find(ref, vcpus, memoryMb);
    if (ready) return ready;
    if (ref.kind === 'snapshot')
      throw new AviaryError('template_not_found', `snapshot ${ref.id} is not on this host`);
    const { name } = ref;
    const shape = `${name}-v${vcpus}-m${memoryMb}`;
    let boot = booting.get(shape);
    if (!boot) {
      const order = { name, vcpus, memoryMb, revision: current.get(name) ?? '' };
      boot = bootBase(context, { scratch, adopt }, order).finally(() => booting.delete(shape));
      booting.set(shape, boot);
      boot.then(
        () => retire(order),
        () => undefined,
      ); // its failure is the caller's news
    }
    return boot;
  };

  /** Bases of the same name and another revision: kept only for the capsules made from them. */
  const retire = async ({ name, revision }: BaseOrder) => {
    for (const { record, paths } of known.values()) {
      const old = record.kind === 'base' && record.name === name && record.revision !== revision;
      if (old) await writeFile(paths.removed, '');
    }
  };

  const drop = async (template: BootedTemplate) => {
    known.delete(template.key);
    await discard(layout, template.paths.dir);
  };

  return {
    ensure,
    find,
    adopt,
    scratch,
    byKey: (key) => known.get(key) ?? null,
    remove: async (id, stillUsed) => {
      const template = [...known.values()].find(
        ({ record }) => record.kind === 'snapshot' && record.name === id,
      );
      if (!template) return;
      if (stillUsed(template.key)) await writeFile(template.paths.removed, '');
      else await drop(template);
    },
    collect: async (stillUsed) => {
      for (const template of [...known.values()]) {
        if (existsSync(template.paths.removed) && !stillUsed(template.key)) await drop(template);
      }
    },
    snapshots: async () => {
      const found: TemplateOnHost[] = [];
      for (const { record, paths } of known.values()) {
        if (record.kind !== 'snapshot' || existsSync(paths.removed)) continue;
        const { vcpus, memoryMb, diskMb } = record;
        found.push({ id: record.name, vcpus, memoryMb, diskMb, sizeBytes: await allocatedBytes(paths.dir) });
      }
      return found;
    },
    load: async () => {
      for (const key of await readdir(layout.templates)) {
        const paths = templatePaths(join(layout.templates, key));
        const record = await readJson<TemplateRecord>(paths.json);
        if (record && !key.startsWith('building-')) known.set(key, { key, paths, record });
        else {
          log.info({ key }, 'removing a template that is not whole');
          await discard(layout, paths.dir);
        }
      }
    },
  };
}

/** Bytes that the files of a directory take up on disk. */
export async function allocatedBytes(dir: string): Promise<number> {
  let blocks = 0;
  for (const name of await readdir(dir)) blocks += (await stat(join(dir, name))).blocks;
  return blocks * 512;
}

interface BaseOrder {
  name: string;
  vcpus: number;
  memoryMb: number;
  revision: string;
}

/** Names everything that a base is booted from. */
async function revisionOf(
  { images, qemuVersion, acceleration }: DriverContext,
  name: string,
): Promise<string> {
  const parts = [await images.kernel(), await images.initramfs(), await images.rootfs(name)];
  const commandLine = kernelCommandLine(acceleration, 0);
  const hash = createHash('sha256').update(
    JSON.stringify([...parts, commandLine, qemuVersion, acceleration]),
  );
  return hash.digest('hex').slice(0, 12);
}

async function bootBase(
  context: DriverContext,
  store: Pick<TemplateStore, 'scratch' | 'adopt'>,
  { name, vcpus, memoryMb, revision }: BaseOrder,
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
    revert.push('control group', () => launcher.cleanUp(unit));
    revert.push('process', () => killProcess(started.pid, started.startTime));
    const qmp = await connectQmp(capsule.qmp);
    revert.push('qmp', () => qmp.close());

    const guest = await connectGuest({
      ctlPath: capsule.ctl,
      bulkPath: capsule.bulk,
      log,
      timeoutMs: 120_000,
    });
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
    step('ready', 100);
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

/** Ends a process if it still is the one that was started. */
export async function killProcess(pid: number, startTime: string): Promise<void> {
  if ((await processStartTime(pid)) !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await waitForEnd(pid, startTime);
}

/** Resolves when the process is gone; it was told to end, so this takes milliseconds. */
export async function waitForEnd(pid: number, startTime: string): Promise<void> {
  while ((await processStartTime(pid)) === startTime) await new Promise((resolve) => setTimeout(resolve, 2));
}
