/**
 * One machine cloned from a template: started, its state loaded, its agent connected, put to sleep and woken.
 * The hot path of create, resume and fork. Inside the driver only.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { createRevert, type Logger } from '@aviary/kernel';
import { connectGuest, type GuestIdentity, type GuestLink } from '../guest-link/index.ts';
import type { DriverContext } from './context.ts';
import { hostBootId } from './context.ts';
import { cloneFile } from './disk.ts';
import type { Started } from './launcher.ts';
import { type CapsulePaths, writeJson } from './layout.ts';
import { killProcess } from './lifetime.ts';
import { OVERHEAD_MB } from './machine.ts';
import { loadDevices, loadPages } from './migration.ts';
import { connectQmp, type Qmp } from './qmp.ts';
import type { RunRecord } from './records.ts';
import type { BootedTemplate } from './templates.ts';

/** A running or stopped machine that this process talks to. */
export interface LiveMachine {
  started: Started;
  qmp: Qmp;
  /** Absent until somebody needs the inside, and when it broke; see {@link linkGuest}. */
  link: Promise<GuestLink> | null;
  /** Its state was saved while its agent was quiet. */
  clean: boolean;
}

/** What a pause or fork saved. */
export interface SavedState {
  pages: string;
  devices: string;
  /** The agent was quiet meanwhile; otherwise the next link has to find the start of a message. */
  clean: boolean;
}

export interface CloneOrder {
  unit: string;
  uid: number;
  template: BootedTemplate;
  paths: CapsulePaths;
  /** Memory and devices of a pause or fork; the template's own when null. */
  state: SavedState | null;
}

/** Makes the directory of a new capsule with its disk. */
export async function prepareDirectory(
  template: BootedTemplate,
  paths: CapsulePaths,
  disk?: string,
): Promise<void> {
  await mkdir(paths.dir, { mode: 0o755 });
  await cloneFile(disk ?? template.paths.seed, paths.disk);
  await chmod(paths.disk, 0o600);
}

/** A machine with its state loaded that has not run an instruction yet. On failure nothing is left running. */
export async function startClone(context: DriverContext, order: CloneOrder): Promise<LiveMachine> {
  const { launcher, hostTool, log } = context;
  const { template, paths, unit, uid, state } = order;
  const { vcpus, memoryMb, rootfs, templateDisk } = template.record;
  const revert = createRevert(log);
  try {
    revert.push('control group', () => launcher.cleanUp(unit));
    const started = await launcher.launch({
      name: unit,
      uid,
      machine: { vcpus, memoryMb, rootfs, templateDisk },
      start: { kind: 'restore' },
      capsule: paths,
      templateDir: template.paths.dir,
      writableTemplate: false,
      bootDir: null,
      stateFile: state?.devices ?? template.paths.devices,
      limits: { memoryMb: memoryMb + OVERHEAD_MB, cpus: vcpus + 0.5, processes: 128 },
    });
    revert.push('process', () => killProcess(started.pid, started.startTime));
    const run: RunRecord = { ...started, bootId: hostBootId };
    await writeJson(paths.runJson, run, false);
    const qmp = await connectQmp(paths.qmp);
    revert.push('qmp', () => qmp.close());
    if (state) await loadPages(hostTool, started.pid, template.paths.mem, state.pages);
    await loadDevices(qmp);
    return { started, qmp, link: null, clean: state?.clean ?? true };
  } catch (error) {
    await revert.run();
    throw error;
  }
}

/**
 * The connection to the agent of a machine, made on first use. `identity` is for a machine that has just been
 * loaded: it goes with the first message, and nobody has spoken to this copy before.
 */
export function linkGuest(
  machine: LiveMachine,
  paths: CapsulePaths,
  log: Logger,
  identity?: GuestIdentity,
): Promise<GuestLink> {
  if (!machine.link) {
    const link = connectGuest({
      ctlPath: paths.ctl,
      bulkPath: paths.bulk,
      log,
      ...(identity && { identity, clean: machine.clean }),
    });
    machine.link = link;
    const forget = () => {
      if (machine.link === link) machine.link = null;
    };
    link.then(({ closed }) => closed.then(forget), forget);
  }
  return machine.link;
}

/** Hangs up the agent's connection, if there is one. */
export function unlinkGuest(machine: LiveMachine): void {
  machine.link?.then(
    (link) => link.close(),
    () => undefined, // it never came about
  );
  machine.link = null;
}

/**
 * What pool members run before they wait. Under emulation a program is slow the first times, because it has to be
 * translated: the shells and one dynamic program cover what most first commands use.
 */
const REHEARSAL: readonly (readonly string[])[] = [
  ['/bin/sh', '-c', '/bin/echo warm'],
  ['/bin/bash', '-c', 'echo warm'],
  ['/bin/echo', 'warm'],
  ['/bin/sh', '-c', 'echo warm'],
  ['/bin/echo', 'warm'],
];

/** Runs it up to its first commands and stops it again: the state in which pool members wait. */
export async function warmAndStop(
  machine: LiveMachine,
  paths: CapsulePaths,
  log: Logger,
  identity: GuestIdentity,
): Promise<void> {
  const [link] = await Promise.all([linkGuest(machine, paths, log, identity), machine.qmp.execute('cont')]);
  for (const argv of REHEARSAL) {
    const process = await link.exec({ argv });
    for await (const _ of process.output);
    await process.exit;
  }
  await link.quiesce();
  await machine.qmp.execute('stop');
}

/** Ends the machine and closes what connects to it. */
export async function endMachine(context: DriverContext, machine: LiveMachine, unit: string): Promise<void> {
  unlinkGuest(machine);
  machine.qmp.close();
  await killProcess(machine.started.pid, machine.started.startTime);
  await context.launcher.cleanUp(unit);
}
