/** This machine as a host of capsules, by the chosen driver. Used by the composition only. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createImageStore, defaultCacheDir } from '@aviary/drivers/images';
import { createMockHost } from '@aviary/drivers/mock';
import { createQemuHost } from '@aviary/drivers/qemu';
import { type Clock, isAviaryError, type Logger } from '@aviary/kernel';
import type { CapsuleHost, HostFacts, HostProgress } from '@aviary/protocol';
import { ensureAgent } from '../../../guest/build-agent.mjs';
import type { Config } from './settings.ts';

export interface LocalHost {
  /** Null when this machine cannot run capsules; the description says why. */
  capsules: CapsuleHost | null;
  /** What capsules run on, as a sentence. */
  description: string;
  /** Warm capsules: ready and wanted. */
  pool(): { ready: number; wanted: number };
  /** Gets the default capsule ready, in the background of everything else. */
  warmUp(vcpus: number, memoryMb: number): Promise<void>;
  /** Lets go; capsules run on. */
  close(): Promise<void>;
}

/** Tells a person at the terminal what is being done. */
export type Say = (text: string) => void;

type HostConfig = Pick<Config, 'driver' | 'data' | 'cache' | 'pool'>;

/** Opens it and takes over what runs on it. A machine without the programs is no host, and says so. */
export async function openLocalHost(
  config: HostConfig,
  { clock, log, say }: { clock: Clock; log: Logger; say: Say },
): Promise<LocalHost> {
  if (config.driver === 'mock') {
    const capsules = createMockHost({ clock });
    return {
      ...IDLE,
      capsules,
      description: 'pretended capsules (AVIARY_DRIVER=mock)',
      close: () => capsules.close(),
    };
  }
  try {
    return await openQemu(config, log, say);
  } catch (error) {
    // without a program, or without the archive it would be built from: everything else works
    if (!isAviaryError(error, 'missing_dependency', 'host_unavailable')) throw error;
    log.error({ err: error }, 'this machine cannot run capsules');
    return { ...IDLE, capsules: null, description: `no capsules on this machine: ${error.message}` };
  }
}

const IDLE = {
  pool: () => ({ ready: 0, wanted: 0 }),
  warmUp: async () => undefined,
  close: async () => undefined,
};

async function openQemu(config: HostConfig, log: Logger, say: Say): Promise<LocalHost> {
  const cacheDir = config.cache ?? defaultCacheDir();
  const dataDir = join(config.data, 'capsules');
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const agentPath = join(cacheDir, 'agent');
  await ensureAgent(agentPath);
  const show = ({ step, percent }: HostProgress) => say(percent === null ? step : `${step} (${percent} %)`);
  const images = createImageStore({ cacheDir, agentPath, log, onProgress: show });
  const host = await createQemuHost({
    dataDir,
    cacheDir,
    log,
    poolSize: config.pool,
    images: {
      kernel: async () => (await images.ensureKernel()).vmlinuz,
      initramfs: async () => (await images.ensureInitramfs()).path,
      rootfs: async (name) => (await images.ensureRootfs(name)).path,
    },
  });
  host.subscribe((event) => {
    if (event.type === 'progress') show(event.progress);
  });
  const facts = await host.facts();
  return {
    capsules: host,
    description: describe(facts),
    pool: () => host.pool(),
    warmUp: (vcpus, memoryMb) => host.warmUp({ kind: 'base', name: 'minimal' }, vcpus, memoryMb),
    close: () => host.close(),
  };
}

/** How capsules run here, and what they do without. */
function describe({ acceleration, accelerationReason, confinement, network }: HostFacts): string {
  const kind = acceleration === 'kvm' ? 'hardware virtualisation' : 'software emulation';
  const without = new Set([
    ...(confinement.full ? [] : [confinement.reason]),
    ...(network.egress ? [] : [network.reason]),
  ]);
  return [`${kind}: ${accelerationReason}`, ...without].join('; ');
}
