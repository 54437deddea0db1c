/** What this machine is and what is free on it. Inside the driver only. */
import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import type { HostFacts, HostFree } from '@aviary/protocol';

const MB = 1048576;

/** Facts that do not change while we run. */
export async function machineFacts(
  dataDir: string,
): Promise<Pick<HostFacts, 'arch' | 'cpuCores' | 'memoryMb' | 'diskMb'>> {
  const disk = await statfs(dataDir);
  return {
    arch: 'x86_64',
    cpuCores: availableParallelism(),
    memoryMb: Math.floor(totalmem() / MB),
    diskMb: Math.floor((disk.blocks * disk.bsize) / MB),
  };
}

/** Memory that could be used without swapping (MemAvailable, proc(5)) and free disk. */
export async function machineFree(dataDir: string): Promise<HostFree> {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'));
  const disk = await statfs(dataDir);
  return {
    memoryMb: Math.floor(Number(available?.[1] ?? 0) / 1024),
    diskMb: Math.floor((disk.bavail * disk.bsize) / MB),
  };
}
