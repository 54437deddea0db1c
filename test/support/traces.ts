/**
 * What a product leaves on the machine: processes, control groups, network namespaces, directories. Read from
 * the outside (/proc, /sys, the state directory), so that the product cannot be wrong about itself.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** A QEMU process of one state directory. */
export interface Machine {
  pid: number;
  /** Its control group, named by the unit it runs. */
  unit: string;
}

/** The driver's name for a state directory: control groups and the namespace have it. */
export function hostName(data: string): string {
  return createHash('sha256').update(join(data, 'capsules')).digest('hex').slice(0, 8);
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // a process may end while it is looked at
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
};
const names = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);
const pids = (): number[] =>
  names('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** All QEMU processes that the product on `data` started and that run. */
export function machinesOf(data: string): Machine[] {
  const group = new RegExp(`/aviary-${hostName(data)}/([^/\\s]+)`);
  return pids().flatMap((pid) => {
    const unit = group.exec(read(`/proc/${pid}/cgroup`))?.[1];
    const program = basename(read(`/proc/${pid}/cmdline`).split('\0')[0] ?? '');
    return unit !== undefined && program.startsWith('qemu-system') ? [{ pid, unit }] : [];
  });
}

/** The process of one capsule, by what the driver wrote into its directory. */
export function machineOf(data: string, capsuleId: string): Machine | undefined {
  const { unit } = JSON.parse(
    readFileSync(join(data, 'capsules/capsules', capsuleId, 'capsule.json'), 'utf8'),
  ) as {
    unit: string;
  };
  return machinesOf(data).find((machine) => machine.unit === unit);
}

/** Directories of the driver by kind. */
export function directoriesOf(data: string): Record<'capsules' | 'pool' | 'templates' | 'trash', string[]> {
  const list = (kind: string) => names(join(data, 'capsules', kind));
  return {
    capsules: list('capsules'),
    pool: list('pool'),
    templates: list('templates'),
    trash: list('trash'),
  };
}

/** Control groups of the product's machines, over all controllers. */
export function groupsOf(data: string): string[] {
  const own = `aviary-${hostName(data)}`;
  const bases = ['', 'memory', 'cpu', 'pids'].map((controller) => join('/sys/fs/cgroup', controller, own));
  const found = bases.flatMap((base) => (existsSync(base) ? readdirSync(base, { withFileTypes: true }) : []));
  return [...new Set(found.filter((entry) => entry.isDirectory()).map(({ name }) => name))];
}

/** Processes that have the state directory in their command line: PostgreSQL, helpers. */
export function processesNaming(data: string): string[] {
  return pids()
    .map((pid) => ({ pid, line: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ') }))
    .filter(({ pid, line }) => pid !== process.pid && line.includes(data))
    .map(({ pid, line }) => `${pid} ${line}`);
}

/** After a clean stop with nothing in it: everything that should not be there, as sentences. */
export async function leftBehind(data: string): Promise<string[]> {
  const { capsules, pool, trash } = directoriesOf(data);
  return [
    ...machinesOf(data).map(({ pid, unit }) => `machine ${unit}, process ${pid}`),
    ...processesNaming(data).map((line) => `process ${line}`),
    ...groupsOf(data).map((name) => `control group ${name}`),
    ...capsules.map((name) => `capsule directory ${name}`),
    ...pool.map((name) => `pool directory ${name}`),
    ...trash.map((name) => `trash ${name}`),
    ...(existsSync(`/run/netns/aviary-${hostName(data)}`) ? ['the network namespace'] : []),
  ];
}
