/**
 * The capsules of this machine: every call of CapsuleHost, on top of templates, clones and the pool.
 * Inside the driver only; index.ts puts it together.
 */
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError, createRevert, isAviaryError, randomHex } from '@aviary/kernel';
import type { CapsuleHost, CapsuleOnHost, CapsuleSpec, HostEvent } from '@aviary/protocol';
import {
  endMachine,
  type LiveMachine,
  linkGuest,
  prepareDirectory,
  type SavedState,
  startClone,
  unlinkGuest,
} from './clone.ts';
import type { DriverContext } from './context.ts';
import { createOverlay, flatten } from './disk.ts';
import { type Entry, inTurn, newEntry, onHost, reasonOfDeath, runningMachine } from './entries.ts';
import { identityOf } from './identity.ts';
import { capsulePaths, discard, readJson, syncPath, templatePaths, writeJson } from './layout.ts';
import { applyPages } from './migration.ts';
import type { Pool } from './pool.ts';
import type { PauseRecord, TemplateRecord } from './records.ts';
import { capture, freeze, saveState, thaw } from './state.ts';
import { allocatedBytes, type BootedTemplate, type TemplateStore } from './templates.ts';

/** Warm clones of a size that somebody used but nobody prepared. */
const SIDE_POOL = 2;

export type Capsules = Omit<CapsuleHost, 'facts' | 'free' | 'subscribe'> & {
  /** Takes over a capsule found on disk. */
  adopt(entry: Entry): void;
  entries(): IterableIterator<Entry>;
  /** Lets go of all machines, which run on. */
  detach(): void;
};

export function createCapsules(
  context: DriverContext,
  parts: { templates: TemplateStore; pool: Pool; poolSize: number; emit: (event: HostEvent) => void },
): Capsules {
  const { layout, log, uids, launcher, hostTool } = context;
  const { templates, pool, emit } = parts;
  const known = new Map<string, Entry>();

  const entryOf = (id: string): Entry => {
    const entry = known.get(id);
    if (!entry) throw new AviaryError('capsule_not_found', `capsule ${id} is not on this host`);
    return entry;
  };
  const templateOf = (entry: Entry): BootedTemplate => {
    const template = templates.byKey(entry.record.template);
    if (!template)
      throw new AviaryError('internal', `template ${entry.record.template} of a capsule is gone`);
    return template;
  };
  const stillUsed = (key: string) => [...known.values()].some(({ record }) => record.template === key);

  const watch = (entry: Entry, machine: LiveMachine) => {
    machine.qmp.closed.then(async () => {
      if (entry.machine !== machine || entry.ending) return;
      entry.state = 'dead';
      entry.reason = await reasonOfDeath(entry.paths);
      entry.machine = null;
      unlinkGuest(machine);
      await launcher
        .cleanUp(entry.record.unit)
        .catch((err) => log.warn({ err }, 'control group left behind'));
      emit({ type: 'capsule.died', id: entry.record.spec.id, reason: entry.reason });
    });
  };

  const adopt: Capsules['adopt'] = (entry) => {
    known.set(entry.record.spec.id, entry);
    uids.adopt(entry.record.uid);
    if (!entry.machine) return;
    watch(entry, entry.machine);
    // An earlier process may have been killed while it held this one frozen; linking lets it go on.
    linkGuest(entry.machine, entry.paths, log).catch((err) =>
      log.warn({ err }, 'a capsule does not answer yet'),
    );
  };

  /** From a machine whose state is loaded to a running capsule. */
  const wake = async (entry: Entry, machine: LiveMachine, grow: boolean) => {
    if (grow)
      await machine.qmp.execute('block_resize', {
        'node-name': 'disk',
        size: entry.record.spec.diskMb * 1048576,
      });
    const identity = identityOf(context, entry.record, grow);
    const restored = machine.link
      ? machine.link.then((link) => link.restore(identity))
      : linkGuest(machine, entry.paths, log, identity);
    await Promise.all([machine.qmp.execute('cont'), restored]);
    entry.machine = machine;
    entry.state = 'running';
    watch(entry, machine);
  };

  const entryFor = (spec: CapsuleSpec, template: BootedTemplate, uid: number, unit: string): Entry =>
    newEntry(
      { spec, template: template.key, uid, unit, generation: 1 },
      capsulePaths(join(layout.capsules, spec.id)),
    );

  /** A warm clone takes the name; one rename makes it a capsule. */
  const fromPool = async (spec: CapsuleSpec, template: BootedTemplate): Promise<Entry | null> => {
    const member = pool.claim(template);
    if (!member) return null;
    const entry = entryFor(spec, template, member.uid, member.unit);
    try {
      await writeJson(join(member.dir, 'capsule.json'), entry.record, false);
      await rename(member.dir, entry.paths.dir);
      await wake(entry, member.machine, spec.diskMb > template.record.diskMb);
      return entry;
    } catch (error) {
      log.warn({ err: error }, 'a warm clone could not be used');
      await endMachine(context, member.machine, member.unit);
      uids.release(member.uid);
      await discard(layout, member.dir);
      await discard(layout, entry.paths.dir);
      return null;
    }
  };

  /** A clone made now; from a fork's state and disk when given. */
  const fromClone = async (
    spec: CapsuleSpec,
    template: BootedTemplate,
    fork?: SavedState & { disk: string },
  ): Promise<Entry> => {
    const uid = uids.take();
    const entry = entryFor(spec, template, uid, `c-${randomHex(8)}`);
    const { paths, record } = entry;
    const revert = createRevert(log);
    revert.push('user id', () => uids.release(uid));
    revert.push('directory', () => discard(layout, paths.dir));
    try {
      await prepareDirectory(template, paths, fork?.disk);
      await writeJson(paths.json, record, false);
      const machine = await startClone(context, {
        unit: record.unit,
        uid,
        template,
        paths,
        state: fork ?? null,
      });
      revert.push('machine', () => endMachine(context, machine, record.unit));
      await wake(entry, machine, spec.diskMb > template.record.diskMb && !fork);
      return entry;
    } catch (error) {
      entry.ending = true;
      await revert.run();
      throw error;
    }
  };

  const register = (entry: Entry): CapsuleOnHost => {
    known.set(entry.record.spec.id, entry);
    return onHost(entry);
  };

  const pause = async (entry: Entry) => {
    if (entry.state === 'paused') return;
    const machine = runningMachine(entry);
    const { paths, record } = entry;
    await rm(paths.pause, { recursive: true, force: true });
    await mkdir(paths.pause, { mode: 0o700 });
    const clean = await freeze(context, entry, machine);
    try {
      await saveState(context, entry, machine, templateOf(entry), paths.pause);
      const { qemuVersion } = context;
      const done: PauseRecord = { pausedAt: context.now().toISOString(), qemuVersion, clean };
      await writeJson(paths.pauseJson, done, true);
    } catch (error) {
      await rm(paths.pause, { recursive: true, force: true });
      await thaw(context, entry, machine);
      throw error;
    }
    entry.ending = true;
    entry.state = 'paused';
    entry.machine = null;
    await endMachine(context, machine, record.unit);
    await rm(paths.runJson, { force: true });
    entry.ending = false;
  };

  const resume = async (entry: Entry): Promise<CapsuleOnHost> => {
    if (entry.state === 'running') return onHost(entry);
    if (entry.state !== 'paused') {
      throw new AviaryError('capsule_not_paused', `capsule ${entry.record.spec.id} is ${entry.state}`);
    }
    const { paths, record } = entry;
    const template = templateOf(entry);
    const saved = await readJson<PauseRecord>(paths.pauseJson);
    record.generation++;
    await writeJson(paths.json, record, false);
    const machine = await startClone(context, {
      unit: record.unit,
      uid: record.uid,
      template,
      paths,
      state: { pages: paths.pages, devices: paths.devices, clean: saved?.clean ?? false },
    });
    // From here on the guest may write to its disk, so the saved memory must never be loaded again.
    await rm(paths.pauseJson);
    try {
      await wake(entry, machine, false);
    } catch (cause) {
      await endMachine(context, machine, record.unit);
      entry.state = 'dead';
      entry.reason = `it did not come back from its pause: ${(cause as Error).message}`;
      throw new AviaryError('capsule_lost', entry.reason, { cause, details: { reason: entry.reason } });
    }
    await rm(paths.pause, { recursive: true, force: true });
    return onHost(entry);
  };

  const destroy = async (entry: Entry) => {
    entry.ending = true;
    const { machine, record, paths } = entry;
    entry.machine = null;
    entry.state = 'dead';
    if (machine) await endMachine(context, machine, record.unit);
    await discard(layout, paths.dir);
    known.delete(record.spec.id);
    uids.release(record.uid);
    await templates.collect(stillUsed);
  };

  const snapshot = async (entry: Entry, id: string) => {
    const done = (await templates.snapshots()).find((template) => template.id === id);
    if (done) return done;
    const source = templateOf(entry);
    const building = await templates.scratch();
    try {
      if (!(await capture(context, entry, source, building))) {
        throw new AviaryError(
          'timeout',
          `capsule ${entry.record.spec.id} does not answer; its state cannot be a template`,
        );
      }
      const inside = templatePaths(building);
      await applyPages(hostTool, source.paths.mem, join(building, 'pages'), inside.mem);
      await rm(join(building, 'pages'));
      if (source.record.templateDisk) {
        await rename(inside.disk, join(building, 'overlay.qcow2'));
        await flatten(join(building, 'overlay.qcow2'), source.paths.disk, inside.disk);
      }
      const { diskMb } = entry.record.spec;
      await createOverlay(inside.seed, inside.disk, 'qcow2', diskMb);
      for (const file of [inside.mem, inside.devices, inside.disk, inside.seed]) await chmod(file, 0o644);
      await syncPath(inside.disk);
      const record: TemplateRecord = {
        ...source.record,
        kind: 'snapshot',
        name: id,
        diskMb,
        templateDisk: true,
        qemuVersion: context.qemuVersion,
        createdAt: context.now().toISOString(),
      };
      const { paths } = await templates.adopt(building, id, record);
      const { vcpus, memoryMb } = record;
      return { id, vcpus, memoryMb, diskMb, sizeBytes: await allocatedBytes(paths.dir) };
    } catch (error) {
      await discard(layout, building);
      throw error;
    }
  };

  const fork = async (entry: Entry, children: readonly CapsuleSpec[]): Promise<CapsuleOnHost[]> => {
    const template = templateOf(entry);
    const dir = join(layout.pool, `fork-${randomHex(6)}`);
    await mkdir(dir, { mode: 0o700 });
    const state = { pages: join(dir, 'pages'), devices: join(dir, 'devices'), disk: join(dir, 'disk.qcow2') };
    try {
      const clean = await capture(context, entry, template, dir);
      const { envs, user } = entry.record.spec;
      const made = await Promise.allSettled(
        children.map((spec) => fromClone({ ...spec, envs, user }, template, { ...state, clean })),
      );
      const failed = made.find((result) => result.status === 'rejected');
      if (failed) {
        for (const result of made) if (result.status === 'fulfilled') await destroy(result.value);
        throw failed.reason;
      }
      return made.flatMap((result) => (result.status === 'fulfilled' ? [register(result.value)] : []));
    } finally {
      await discard(layout, dir);
    }
  };

  return {
    adopt,
    entries: () => known.values(),
    detach: () => {
      for (const entry of known.values()) {
        entry.ending = true;
        if (entry.machine) unlinkGuest(entry.machine);
        entry.machine?.qmp.close();
      }
    },
    prepare: async (ref, vcpus, memoryMb) => {
      const template = await templates.ensure(ref, vcpus, memoryMb);
      if (template.record.kind === 'base') pool.want(template, parts.poolSize);
    },
    isPrepared: (ref, vcpus, memoryMb) => templates.find(ref, vcpus, memoryMb) !== null,
    create: async (spec) => {
      const existing = known.get(spec.id);
      if (existing) return onHost(existing);
      const template = await templates.ensure(spec.template, spec.vcpus, spec.memoryMb);
      return pool.busy(async () => {
        const entry = (await fromPool(spec, template)) ?? (await fromClone(spec, template));
        if (template.record.kind === 'base') pool.want(template, Math.min(SIDE_POOL, parts.poolSize));
        return register(entry);
      });
    },
    destroy: async (id) => {
      const entry = known.get(id);
      if (entry) await inTurn(entry, () => destroy(entry));
    },
    pause: async (id) => {
      const entry = entryOf(id);
      await inTurn(entry, () => pause(entry));
    },
    resume: async (id) => {
      const entry = entryOf(id);
      return inTurn(entry, () => pool.busy(() => resume(entry)));
    },
    fork: async (id, children) => {
      const entry = entryOf(id);
      return inTurn(entry, () => pool.busy(() => fork(entry, children)));
    },
    snapshot: async (id, templateId) => {
      const entry = entryOf(id);
      return inTurn(entry, () => snapshot(entry, templateId));
    },
    removeSnapshot: async (id) => {
      const template = templates.find({ kind: 'snapshot', id }, 0, 0);
      if (template) await pool.drop(template.key);
      await templates.remove(id, stillUsed);
    },
    list: async () => [...known.values()].map(onHost),
    snapshots: () => templates.snapshots(),
    guest: async (id) => {
      const entry = entryOf(id);
      const machine = runningMachine(entry);
      pool.used();
      try {
        return await linkGuest(machine, entry.paths, log);
      } catch (error) {
        if (isAviaryError(error)) throw error;
        throw new AviaryError('capsule_lost', `capsule ${id} does not answer`, { cause: error });
      }
    },
  };
}
