/** Says who supervises a cluster, so that a second living process does not stop the first one's server. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { AviaryError } from '@aviary/kernel';

/** Notes that this very process has left. */
const ours = new Set<string>();

/** Leaves our note at `path`; the function takes it away. Error: conflict, with who is there. */
export async function claim(path: string): Promise<() => Promise<void>> {
  const noted = (await readFile(path, 'utf8').catch(() => '')).trim();
  const pid = Number.parseInt(noted, 10);
  if (ours.has(path) || (pid > 0 && pid !== process.pid && (await identify(pid)) === noted)) {
    throw new AviaryError('conflict', `process ${pid} runs this database already: stop it first`);
  }
  ours.add(path);
  await writeFile(path, `${await identify(process.pid)}\n`, { mode: 0o600 });
  return async () => {
    await rm(path, { force: true });
    ours.delete(path);
  };
}

/** Pid and start time (field 22 of /proc/pid/stat, proc(5)) of a process, null when there is none. */
async function identify(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat === null ? null : `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
}
