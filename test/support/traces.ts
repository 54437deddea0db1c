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

interface TemplateFile {
  kind: 'base' | 'snapshot';
}

const json = <T>(path: string): T | null => {
  const text = read(path);
  return text === '' ? null : (JSON.parse(text) as T);
};

/** Template directories that are neither whole nor in use, and snapshots beyond those that are listed. */
export function strayTemplates(data: string, listed: number): string[] {
  const at = (...parts: string[]) => join(data, 'capsules', ...parts);
  const inUse = new Set(
    names(at('capsules')).map(
      (id) => json<{ template: string }>(at('capsules', id, 'capsule.json'))?.template,
    ),
  );
  const strays: string[] = [];
  let snapshots = 0;
  for (const name of names(at('templates'))) {
    const record = json<TemplateFile>(at('templates', name, 'template.json'));
    const removed = existsSync(at('templates', name, 'removed'));
    if (record === null) strays.push(`template ${name} is not whole`);
    else if (removed && !inUse.has(name)) strays.push(`template ${name} was removed and nobody uses it`);
    else if (!removed && record.kind === 'snapshot') snapshots++;
  }
  if (snapshots !== listed) strays.push(`${snapshots} snapshots on disk, ${listed} listed`);
  return strays;
}

/**
 * While it runs: what nobody owns, given the capsules that are listed (running and paused) and how many
 * snapshots are. Machines of the warm pool belong to it.
 */
export function unowned(
  data: string,
  owned: readonly { id: string; status: string }[],
  snapshots: number,
): string[] {
  const dirs = directoriesOf(data);
  const unitOf = (id: string) =>
    json<{ unit: string }>(join(data, 'capsules/capsules', id, 'capsule.json'))?.unit;
  const running = new Set(owned.filter(({ status }) => status === 'running').map(({ id }) => unitOf(id)));
  const kept = new Set(owned.map(({ id }) => unitOf(id)));
  const machines = machinesOf(data);
  return [
    ...machines
      .filter(({ unit }) => !running.has(unit) && !dirs.pool.includes(unit))
      .map(({ unit, pid }) => `machine ${unit}, process ${pid}`),
    ...groupsOf(data)
      .filter((name) => !kept.has(name) && !dirs.pool.includes(name))
      .map((name) => `control group ${name}`),
    ...dirs.capsules
      .filter((id) => !owned.some((capsule) => capsule.id === id))
      .map((id) => `capsule directory ${id}`),
    ...dirs.pool
      .filter((name) => !machines.some(({ unit }) => unit === name))
      .map((name) => `pool directory ${name} without a machine`),
    ...dirs.trash.map((name) => `trash ${name}`),
    ...strayTemplates(data, snapshots),
  ];
}

/** After a clean stop with nothing in it: everything that should not be there, as sentences. */
export async function leftBehind(data: string): Promise<string[]> {
  const { capsules, pool, trash } = directoriesOf(data);
  return [
    ...machinesOf(data).map(({ pid, unit }) => `machine ${unit}, process ${pid}`),
    ...processesNaming(data).map((line) => `process ${line}`),
    ...groupsOf(data).map((name) => `control group ${name}`),
    ...capsules.map((name) => `capsule directory ${name}`),
    ...strayTemplates(data, 0),
    ...pool.map((name) => `pool directory ${name}`),
    ...trash.map((name) => `trash ${name}`),
    ...(existsSync(`/run/netns/aviary-${hostName(data)}`) ? ['the network namespace'] : []),
  ];
}
