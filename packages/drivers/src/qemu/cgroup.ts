/**
 * Resource limits of a capsule's process by control groups, version 1 or 2, whichever the host has.
 * Inside the driver only. Sources: Linux admin-guide/cgroup-v1 and cgroup-v2.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@aviary/kernel';

export interface CgroupLimits {
  memoryMb: number;
  /** Processors it may use at most, e.g. 1.5. */
  cpus: number;
  processes: number;
}

export interface Cgroups {
  /** `v2`, `v1`, or `none` with the reason in `missing`. */
  readonly version: 'v1' | 'v2' | 'none';
  readonly missing: string;
  /** Makes the group; the files to write a pid to in order to enter it. */
  create(name: string, limits: CgroupLimits): Promise<string[]>;
  /** Ends what still runs in the group and removes it; unknown names are fine. */
  remove(name: string): Promise<void>;
  /** Removes the parent too; only when no group is left. */
  close(): Promise<void>;
  /** Names of the groups that exist. */
  list(): Promise<string[]>;
}

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;

/** Groups live below `<controller>/<parent>/`. Never fails: without usable groups `version` is `none`. */
export async function openCgroups(parent: string, log: Logger): Promise<Cgroups> {
  const v2 = existsSync(join(ROOT, 'cgroup.controllers'));
  const bases = v2 ? [join(ROOT, parent)] : ['memory', 'cpu', 'pids'].map((name) => join(ROOT, name, parent));
  try {
    for (const base of bases) await mkdir(base, { recursive: true });
    if (v2) {
      await writeFile(join(ROOT, 'cgroup.subtree_control'), '+memory +cpu +pids');
      await writeFile(join(ROOT, parent, 'cgroup.subtree_control'), '+memory +cpu +pids');
    } else if (!existsSync(join(bases[0]!, 'memory.limit_in_bytes'))) {
      throw new Error('the memory controller is not mounted');
    }
  } catch (error) {
    const missing = `control groups cannot be used: ${(error as Error).message}`;
    log.warn({ err: error }, missing);
    return {
      version: 'none',
      missing,
      create: async () => [],
      remove: async () => undefined,
      close: async () => undefined,
      list: async () => [],
    };
  }
  const files = v2 ? filesV2 : filesV1;
  return {
    version: v2 ? 'v2' : 'v1',
    missing: '',
    create: async (name, limits) => {
      for (const base of bases) await mkdir(join(base, name), { recursive: true });
      for (const [base, file, value] of files(limits)) await writeFile(join(bases[base]!, name, file), value);
      return bases.map((base) => join(base, name, 'cgroup.procs'));
    },
    remove: async (name) => {
      for (const base of bases) await removeWhenEmpty(join(base, name));
    },
    close: async () => {
      for (const base of bases) await removeWhenEmpty(base);
    },
    list: async () => {
      const entries = await readdir(bases[0]!, { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    },
  };
}

type LimitFile = [base: number, file: string, value: string];

function filesV2({ memoryMb, cpus, processes }: CgroupLimits): LimitFile[] {
  return [
    [0, 'memory.max', String(memoryMb * 1024 * 1024)],
    [0, 'cpu.max', `${Math.round(cpus * PERIOD_US)} ${PERIOD_US}`],
    [0, 'pids.max', String(processes)],
  ];
}

function filesV1({ memoryMb, cpus, processes }: CgroupLimits): LimitFile[] {
  return [
    [0, 'memory.limit_in_bytes', String(memoryMb * 1024 * 1024)],
    [1, 'cpu.cfs_period_us', String(PERIOD_US)],
    [1, 'cpu.cfs_quota_us', String(Math.round(cpus * PERIOD_US))],
    [2, 'pids.max', String(processes)],
  ];
}

/**
 * A group can be removed only a moment after its last process was reaped. One that was started just before we
 * were killed is known by its group alone, and would otherwise keep it for ever.
 */
async function removeWhenEmpty(dir: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await rmdir(dir);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt >= 200) throw error;
      await endProcesses(dir);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function endProcesses(dir: string): Promise<void> {
  const text = await readFile(join(dir, 'cgroup.procs'), 'utf8');
  // 0 is a process outside our own pid namespace
  for (const pid of text.split('\n').map(Number).filter(Boolean)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
