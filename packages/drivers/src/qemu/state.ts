/**
 * A machine frozen and its state on disk: the common half of pause, fork and snapshot. Inside the driver only.
 */
import { chown, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type LiveMachine, linkGuest } from './clone.ts';
import type { DriverContext } from './context.ts';
import { cloneFile } from './disk.ts';
import { type Entry, runningMachine } from './entries.ts';
import { syncPath } from './layout.ts';
import { INSIDE } from './machine.ts';
import { dumpPages, saveDevices } from './migration.ts';
import type { BootedTemplate } from './templates.ts';

/** A guest that does not answer within this time is stopped where it is; the next link resynchronises. */
const PATIENCE_MS = 2_000;

/**
 * Stops a machine: first its processes, so that a copy of it does nothing before it has entropy, clock and
 * names of its own; then the machine, between two messages of its agent. False when that did not answer.
 */
export async function freeze(context: DriverContext, entry: Entry, machine: LiveMachine): Promise<boolean> {
  const quiet = linkGuest(machine, entry.paths, context.log).then(async (link) => {
    await link.quiesce({ freeze: true });
    return true;
  });
  const patience = new AbortController();
  const late = sleep(PATIENCE_MS, patience.signal).then(() => false);
  let clean: boolean;
  try {
    clean = await Promise.race([quiet, late]);
  } finally {
    patience.abort();
  }
  if (!clean)
    context.log.warn({ id: entry.record.spec.id }, 'the agent did not answer; it is stopped as it is');
  await machine.qmp.execute('stop');
  return clean;
}

/** Lets a frozen machine go on. */
export async function thaw(context: DriverContext, entry: Entry, machine: LiveMachine): Promise<void> {
  await machine.qmp.execute('cont');
  await (await linkGuest(machine, entry.paths, context.log)).thaw();
}

/** Memory and devices of a frozen machine into `dir`, whole and synced: `pages` and `devices`. */
export async function saveState(
  context: DriverContext,
  entry: Entry,
  machine: LiveMachine,
  template: BootedTemplate,
  dir: string,
): Promise<void> {
  const root = process.getuid?.() === 0;
  const devices = join(dir, 'devices');
  await saveDevices(machine.qmp, `${root ? `${INSIDE.capsule}/run` : entry.paths.run}/devices`);
  await dumpPages(context.hostTool, machine.started.pid, template.paths.mem, join(dir, 'pages'));
  await rename(join(entry.paths.run, 'devices'), devices);
  if (root) await chown(devices, 0, 0);
  await syncPath(devices);
}

/** Memory, devices and disk of a running capsule into `dir`; it stops only meanwhile. True when it was quiet. */
export async function capture(
  context: DriverContext,
  entry: Entry,
  template: BootedTemplate,
  dir: string,
): Promise<boolean> {
  const machine = runningMachine(entry);
  const clean = await freeze(context, entry, machine);
  try {
    await saveState(context, entry, machine, template, dir);
    await cloneFile(entry.paths.disk, join(dir, 'disk.qcow2'));
    return clean;
  } finally {
    await thaw(context, entry, machine);
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
