/**
 * Starts QEMU processes that outlive us: confined by the jail as root, plainly as the user we are otherwise.
 * Inside the driver only.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import { AviaryError } from '@aviary/kernel';
import { run } from '../process/index.ts';
import type { CgroupLimits, Cgroups } from './cgroup.ts';
import type { CapsulePaths } from './layout.ts';
import { INSIDE, type Machine, machineArgs, type Start } from './machine.ts';

/** Number of the descriptor on which a restoring QEMU finds its device state. */
export const STATE_FD = 9;

export interface Launch {
  /** Unique among what runs; names the control group. */
  name: string;
  uid: number;
  machine: Omit<Machine, 'paths' | 'readonlyMemoryOption' | 'acceleration' | 'egress'>;
  start: Start;
  capsule: CapsulePaths;
  templateDir: string;
  /** A template writes its own memory; a clone never does. */
  writableTemplate: boolean;
  /** Kernel and initramfs; only for `boot`. */
  bootDir: string | null;
  /** Device state to load; only for `restore`. */
  stateFile: string | null;
  limits: CgroupLimits;
}

/** A started process, recognisable after a restart of ours. */
export interface Started {
  pid: number;
  /** Start time in clock ticks since boot (proc(5), stat field 22). */
  startTime: string;
}

export interface Launcher {
  readonly confined: boolean;
  readonly reason: string;
  launch(order: Launch): Promise<Started>;
  /** After the process has ended: what the launch left behind. */
  cleanUp(name: string): Promise<void>;
}

export interface LauncherParts {
  qemu: string;
  acceleration: 'kvm' | 'tcg';
  readonlyMemoryOption: boolean;
  imagesDir: string;
}

/** The confined launcher; needs root. */
export function createJailLauncher(
  parts: LauncherParts & { hostTool: string; jailRoot: string; netns: string | null; cgroups: Cgroups },
): Launcher {
  const { cgroups, netns, acceleration } = parts;
  return {
    confined: cgroups.version !== 'none',
    reason:
      cgroups.version === 'none'
        ? cgroups.missing
        : 'own user, namespaces, seccomp and limits for each capsule',
    launch: async (order) => {
      await prepareRunDir(order);
      const groups = await cgroups.create(order.name, order.limits);
      const machine: Machine = { ...order.machine, ...shared(parts), egress: netns !== null, paths: INSIDE };
      const binds = [
        ['/dev/null', '/dev/null', 'rw'],
        ['/dev/urandom', '/dev/urandom', 'ro'],
        ...(acceleration === 'kvm' ? [['/dev/kvm', '/dev/kvm', 'rw']] : []),
        [parts.imagesDir, INSIDE.images, 'ro'],
        [order.templateDir, INSIDE.template, order.writableTemplate ? 'rw' : 'ro'],
        [order.capsule.dir, INSIDE.capsule, 'rw'],
        ...(order.bootDir ? [[order.bootDir, INSIDE.boot, 'ro']] : []),
      ];
      const { stdout } = await run(parts.hostTool, [
        'jail',
        '--root',
        parts.jailRoot,
        ...binds.flatMap((bind) => ['--bind', ...bind]),
        ...(order.stateFile ? ['--fd', String(STATE_FD), order.stateFile] : []),
        ...(netns ? ['--netns', netns] : []),
        ...groups.flatMap((file) => ['--cgroup', file]),
        '--uid',
        String(order.uid),
        '--log',
        order.capsule.log,
        ...(parts.readonlyMemoryOption || order.writableTemplate
          ? []
          : ['--env', 'LD_PRELOAD=/lib/readonly-memory.so']),
        '--',
        parts.qemu,
        ...machineArgs(machine, order.start),
      ]);
      return started(Number(stdout.trim()));
    },
    cleanUp: (name) => cgroups.remove(name),
  };
}

/** Without root: the same machine as the user we are, without a network. */
export function createPlainLauncher(parts: LauncherParts): Launcher {
  return {
    confined: false,
    reason: 'Aviary does not run as root: capsules share its user and have no network',
    launch: async (order) => {
      await prepareRunDir(order);
      const machine: Machine = {
        ...order.machine,
        ...shared(parts),
        egress: false,
        paths: {
          template: order.templateDir,
          images: parts.imagesDir,
          capsule: order.capsule.dir,
          boot: order.bootDir ?? '',
        },
      };
      const log = openSync(order.capsule.log, 'a', 0o600);
      const state = order.stateFile ? openSync(order.stateFile, 'r') : null;
      try {
        const stdio: (number | 'ignore')[] = Array.from({ length: STATE_FD + 1 }, () => 'ignore' as const);
        stdio[1] = log;
        stdio[2] = log;
        if (state !== null) stdio[STATE_FD] = state;
        const child = spawn(parts.qemu, machineArgs(machine, order.start), { detached: true, stdio });
        await new Promise<void>((resolve, reject) => {
          child.once('spawn', resolve);
          child.once('error', reject);
        });
        child.unref();
        return await started(child.pid!);
      } finally {
        closeSync(log);
        if (state !== null) closeSync(state);
      }
    },
    cleanUp: async () => undefined,
  };
}

function shared(parts: LauncherParts): Pick<Machine, 'acceleration' | 'readonlyMemoryOption'> {
  return { acceleration: parts.acceleration, readonlyMemoryOption: parts.readonlyMemoryOption };
}

/** A clean directory for the sockets, and the files that the process may write made its own. */
async function prepareRunDir({ capsule, uid }: Launch): Promise<void> {
  await rm(capsule.run, { recursive: true, force: true });
  await mkdir(capsule.run, { mode: 0o700 });
  if (process.getuid?.() !== 0) return;
  await chown(capsule.run, uid, uid);
  await chown(capsule.disk, uid, uid);
}

async function started(pid: number): Promise<Started> {
  const startTime = await processStartTime(pid);
  if (startTime === null) throw new AviaryError('internal', 'QEMU ended at once; its log says why');
  return { pid, startTime };
}

/** Start time of a running process in clock ticks, null when there is none (or only its zombie). */
export async function processStartTime(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
