/**
 * Capsules as QEMU microVMs on this machine. `createQemuHost` is all that others use.
 * How a clone is made and measured: docs/capsules.md; what confines it: docs/security.md.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { AviaryError, type Logger } from '@aviary/kernel';
import type { CapsuleHost, HostEvent, HostFacts, TemplateRef } from '@aviary/protocol';
import { ensureProgram } from '../native/index.ts';
import { run } from '../process/index.ts';
import { type Acceleration, probeAcceleration } from './acceleration.ts';
import { openCgroups } from './cgroup.ts';
import { type BootImages, createUidAllocator, type DriverContext } from './context.ts';
import { type Egress, openEgress } from './egress.ts';
import { machineFacts, machineFree } from './facts.ts';
import { createCapsules } from './host.ts';
import { ensureJailRoot } from './jail-root.ts';
import { createJailLauncher, createPlainLauncher, type Launcher } from './launcher.ts';
import { createLayout } from './layout.ts';
import { createPool } from './pool.ts';
import { clearPool, recover } from './recover.ts';
import { createTemplateStore } from './templates.ts';

export type { BootImages } from './context.ts';

export interface QemuHostOptions {
  /** Everything of this host is below it. */
  dataDir: string;
  /** Built programs and images; may be emptied at any time. */
  cacheDir: string;
  images: BootImages;
  log: Logger;
  /** Warm clones per template and size; 0 turns the pool off. All together take a tenth of the memory at most. */
  poolSize: number;
}

export interface QemuHost extends CapsuleHost {
  /** Warm clones: ready and wanted. */
  pool(): { ready: number; wanted: number };
  /** Boots what is missing for the default capsule and fills the pool; progress through `subscribe`. */
  warmUp(ref: TemplateRef, vcpus: number, memoryMb: number): Promise<void>;
  /** Lets go: running capsules run on, warm clones end. */
  close(): Promise<void>;
}

/** Memory that warm clones may take together, as a share of the machine's, and what each takes, MB (measured). */
const POOL_SHARE = 0.1;
const MEMBER_MB = 45;

/**
 * Opens this machine as a host and takes over what runs on it. Errors: missing_dependency with the package
 * to install.
 */
export async function createQemuHost(options: QemuHostOptions): Promise<QemuHost> {
  const { log, cacheDir, dataDir, images } = options;
  const qemu = findQemu();
  const layout = await createLayout(dataDir);
  const qemuVersion = await versionOf(qemu);
  const acceleration = await probeAcceleration(qemu, images.kernel, dataDir);
  const hostTool = await ensureProgram('aviary-host', cacheDir);
  const listeners = new Set<(event: HostEvent) => void>();
  const emit = (event: HostEvent) => {
    for (const listener of listeners) listener(event);
  };
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 8);
  const prepared = await prepareLauncher({
    ...options,
    qemu,
    qemuVersion,
    acceleration,
    hostTool,
    layout,
    name,
  });

  const context: DriverContext = {
    layout,
    log,
    random: randomBytes,
    now: () => new Date(),
    launcher: prepared.launcher,
    images,
    hostTool,
    qemuVersion,
    acceleration: acceleration.kind,
    uids: createUidAllocator(),
    report: (subject, progress) => emit({ type: 'progress', subject, progress }),
  };
  const templates = createTemplateStore(context);
  const machine = await machineFacts(dataDir);
  const pool = createPool(context, Math.floor((machine.memoryMb * POOL_SHARE) / MEMBER_MB));
  const capsules = createCapsules(context, { templates, pool, poolSize: options.poolSize, emit });
  await clearPool(context);
  await templates.load();
  await recover(context, capsules);
  await prepared.removeStrays([...capsules.entries()].map(({ record }) => record.unit));

  const facts: HostFacts = {
    ...machine,
    acceleration: acceleration.kind,
    accelerationReason: acceleration.reason,
    network: prepared.network,
    confinement: { full: prepared.launcher.confined, reason: prepared.launcher.reason },
    versions: { qemu: qemuVersion },
  };
  return {
    ...capsules,
    facts: async () => facts,
    free: () => machineFree(dataDir),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    pool: () => pool.status(),
    warmUp: (ref, vcpus, memoryMb) => capsules.prepare(ref, vcpus, memoryMb),
    close: async () => {
      await templates.close();
      await pool.close();
      capsules.detach();
      if ([...capsules.entries()].every((entry) => entry.state !== 'running')) await prepared.remove();
    },
  };
}

interface Prepared {
  launcher: Launcher;
  network: HostFacts['network'];
  /** Takes network and control groups away again; only when no capsule runs. */
  remove(): Promise<void>;
  /** Removes control groups that belong to none of these units. */
  removeStrays(units: readonly string[]): Promise<void>;
}

async function prepareLauncher(parts: {
  qemu: string;
  qemuVersion: string;
  acceleration: Acceleration;
  hostTool: string;
  cacheDir: string;
  layout: Awaited<ReturnType<typeof createLayout>>;
  name: string;
  log: Logger;
}): Promise<Prepared> {
  const { qemu, qemuVersion, hostTool, cacheDir, layout, name, log } = parts;
  const common = {
    qemu,
    acceleration: parts.acceleration.kind,
    readonlyMemoryOption: atLeast(qemuVersion, 8, 2),
    imagesDir: layout.images,
  };
  if (process.getuid?.() !== 0) {
    const launcher = createPlainLauncher(common);
    const network = { egress: false, reason: launcher.reason };
    return { launcher, network, remove: async () => undefined, removeStrays: async () => undefined };
  }
  const preload = await ensureProgram('readonly-memory.so', cacheDir);
  const cgroups = await openCgroups(`aviary-${name}`, log);
  const { egress, network } = await tryEgress(name, log);
  const resolvConf = egress?.resolvConf ?? '';
  const revision = `${qemuVersion}-${createHash('sha256').update(preload).digest('hex').slice(0, 8)}`;
  const jailRoot = await ensureJailRoot(layout.jail, revision, { qemu, preload, resolvConf });
  const launcher = createJailLauncher({
    ...common,
    hostTool,
    jailRoot,
    netns: egress?.netns ?? null,
    cgroups,
  });
  return {
    launcher,
    network,
    remove: async () => {
      await egress?.remove();
      await cgroups.close();
    },
    removeStrays: async (units) => {
      for (const group of await cgroups.list()) if (!units.includes(group)) await cgroups.remove(group);
    },
  };
}

/** Without nftables or namespaces capsules still run, with no network, and the facts say so. */
async function tryEgress(
  name: string,
  log: Logger,
): Promise<{ egress: Egress | null; network: HostFacts['network'] }> {
  try {
    const egress = await openEgress(name, log);
    return {
      egress,
      network: { egress: true, reason: 'through a network namespace that reaches public addresses only' },
    };
  } catch (error) {
    const reason = `capsules have no network: ${(error as Error).message}`;
    log.warn({ err: error }, reason);
    return { egress: null, network: { egress: false, reason } };
  }
}

/** Capsules are x86-64 microVMs (QEMU's `microvm` machine exists for no other processor). */
function findQemu(): string {
  if (process.arch !== 'x64')
    throw new AviaryError('missing_dependency', `capsules need an x86-64 machine, this is ${process.arch}`);
  const path = ['/usr/bin', '/usr/local/bin'].map((dir) => `${dir}/qemu-system-x86_64`).find(existsSync);
  if (path) return path;
  const how = 'apt-get install qemu-system-x86 qemu-utils';
  throw new AviaryError('missing_dependency', `qemu-system-x86_64 is not installed; install it with: ${how}`);
}

async function versionOf(qemu: string): Promise<string> {
  const { stdout } = await run(qemu, ['--version']);
  return /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? 'unknown';
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
