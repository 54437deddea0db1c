/**
 * After a restart: finds every capsule directory again, takes over machines that still run, ends what nobody
 * owns. Inside the driver only.
 *
 *   process alive, no pause.json   it runs (a resume or fork may have been cut off before `cont`): take over
 *   process alive, pause.json      the pause was complete, or a resume had not begun: end it, it is paused
 *   no process,    pause.json      paused
 *   no process,    no pause.json   dead; the directory stays until it is destroyed
 */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DriverContext } from './context.ts';
import { hostBootId } from './context.ts';
import { type Entry, newEntry } from './entries.ts';
import type { Capsules } from './host.ts';
import { processStartTime } from './launcher.ts';
import { capsulePaths, discard, readJson } from './layout.ts';
import { killProcess } from './lifetime.ts';
import { connectQmp } from './qmp.ts';
import type { CapsuleRecord, RunRecord } from './records.ts';

/** Connections made at the same time. */
const PARALLEL = 8;

/** Fills `capsules` from the disk. */
export async function recover(context: DriverContext, capsules: Capsules): Promise<void> {
  const { layout, log } = context;
  const ids = await readdir(layout.capsules);
  const next = async (): Promise<void> => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      const dir = join(layout.capsules, id);
      const record = await readJson<CapsuleRecord>(join(dir, 'capsule.json'));
      if (record) capsules.adopt(await recoverOne(context, record));
      else {
        log.info({ id }, 'removing a capsule that was never whole');
        await endRun(dir);
        await discard(layout, dir);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, next));
}

/** Ends the processes of half-made clones and removes their directories. */
export async function clearPool(context: DriverContext): Promise<void> {
  const { layout, launcher } = context;
  for (const name of await readdir(layout.pool)) {
    await endRun(join(layout.pool, name));
    await launcher.cleanUp(name);
    await discard(layout, join(layout.pool, name));
  }
  for (const name of await readdir(layout.trash)) {
    await endRun(join(layout.trash, name));
    await rm(join(layout.trash, name), { recursive: true, force: true });
  }
}

/** Ends the process that run.json of a directory names, if it still runs. */
async function endRun(dir: string): Promise<void> {
  const run = await readJson<RunRecord>(join(dir, 'run.json'));
  if (run && run.bootId === hostBootId) await killProcess(run.pid, run.startTime);
}

async function recoverOne(context: DriverContext, record: CapsuleRecord): Promise<Entry> {
  const { layout, launcher, log } = context;
  const paths = capsulePaths(join(layout.capsules, record.spec.id));
  const entry: Entry = {
    ...newEntry(record, paths),
    state: 'dead',
    reason: 'its machine ended while Aviary was not running',
  };
  const run = await readJson<RunRecord>(paths.runJson);
  const alive =
    run !== null && run.bootId === hostBootId && (await processStartTime(run.pid)) === run.startTime;
  if (existsSync(paths.pauseJson)) {
    if (alive) await killProcess(run.pid, run.startTime);
    await launcher.cleanUp(record.unit);
    await rm(paths.runJson, { force: true });
    return { ...entry, state: 'paused', reason: null };
  }
  if (!alive) {
    await launcher.cleanUp(record.unit);
    if (run !== null && run.bootId !== hostBootId) entry.reason = 'the host was restarted while it ran';
    return entry;
  }
  try {
    const qmp = await connectQmp(paths.qmp);
    const { running } = (await qmp.execute('query-status')) as { running: boolean };
    if (!running) await qmp.execute('cont');
    await rm(paths.pause, { recursive: true, force: true });
    const { pid, startTime } = run;
    return {
      ...entry,
      state: 'running',
      reason: null,
      machine: { started: { pid, startTime }, qmp, link: null, clean: false },
    };
  } catch (error) {
    log.warn({ err: error, id: record.spec.id }, 'a running capsule did not answer and was ended');
    await killProcess(run.pid, run.startTime);
    await launcher.cleanUp(record.unit);
    return { ...entry, reason: 'its machine did not answer after a restart' };
  }
}
