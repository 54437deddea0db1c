/**
 * Booted templates on this host: boots a base once per size, keeps snapshots, finds both after a restart and
 * removes what nobody needs. Inside the driver only.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError, randomHex } from '@aviary/kernel';
import type { TemplateOnHost, TemplateRef } from '@aviary/protocol';
import { type BaseOrder, bootBase, revisionOf } from './boot.ts';
import type { DriverContext } from './context.ts';
import { discard, readJson, syncPath, type TemplatePaths, templatePaths, writeJson } from './layout.ts';
import type { TemplateRecord } from './records.ts';

/** A template ready for cloning. */
export interface BootedTemplate {
  /** Directory name. */
  key: string;
  paths: TemplatePaths;
  record: TemplateRecord;
}

export interface TemplateStore {
  /** Boots a base of that size if need be. Errors: template_not_found. */
  ensure(ref: TemplateRef, vcpus: number, memoryMb: number): Promise<BootedTemplate>;
  /** Without building: null when it would have to be built or does not exist. */
  find(ref: TemplateRef, vcpus: number, memoryMb: number): BootedTemplate | null;
  byKey(key: string): BootedTemplate | null;
  /** Takes in a finished directory (renamed into place). */
  adopt(building: string, key: string, record: TemplateRecord): Promise<BootedTemplate>;
  /** A fresh directory to build a template in. */
  scratch(): Promise<string>;
  /** Hides a snapshot; its files go when `stillUsed` says no. */
  remove(id: string, stillUsed: (key: string) => boolean): Promise<void>;
  /** Deletes hidden templates that nobody uses any more. */
  collect(stillUsed: (key: string) => boolean): Promise<void>;
  snapshots(): Promise<TemplateOnHost[]>;
  /** Reads what is on disk; what is not whole is removed. */
  load(): Promise<void>;
  /** Ends the boots under way. */
  close(): Promise<void>;
}

export function createTemplateStore(context: DriverContext): TemplateStore {
  const { layout, log } = context;
  const known = new Map<string, BootedTemplate>();
  const booting = new Map<string, Promise<BootedTemplate>>();
  const ended = new AbortController();
  /** Base -> revision that it would be booted with now. */
  const current = new Map<string, string>();

  const find: TemplateStore['find'] = (ref, vcpus, memoryMb) => {
    for (const template of known.values()) {
      const { record, paths } = template;
      if (record.kind !== ref.kind || existsSync(paths.removed)) continue;
      if (ref.kind === 'snapshot' && record.name === ref.id) return template;
      const sameSize = record.vcpus === vcpus && record.memoryMb === memoryMb;
      if (ref.kind === 'base' && record.name === ref.name && sameSize) {
        if (record.revision === current.get(ref.name)) return template;
      }
    }
    return null;
  };

  const adopt: TemplateStore['adopt'] = async (building, key, record) => {
    const target = join(layout.templates, key);
    const inside = templatePaths(building);
    for (const file of [inside.mem, inside.devices, inside.seed]) await syncPath(file);
    await writeJson(inside.json, record, true);
    await discard(layout, target);
    await rename(building, target);
    await syncPath(layout.templates);
    const template = { key, paths: templatePaths(target), record };
    known.set(key, template);
    return template;
  };

  const scratch = async () => {
    const dir = join(layout.templates, `building-${randomHex(6)}`);
    await mkdir(dir, { mode: 0o755 });
    return dir;
  };

  const ensure: TemplateStore['ensure'] = async (ref, vcpus, memoryMb) => {
    if (ref.kind === 'base' && !current.has(ref.name))
      current.set(ref.name, await revisionOf(context, ref.name));
    const ready = find(ref, vcpus, memoryMb);
    if (ready) return ready;
    if (ref.kind === 'snapshot')
      throw new AviaryError('template_not_found', `snapshot ${ref.id} is not on this host`);
    const { name } = ref;
    const shape = `${name}-v${vcpus}-m${memoryMb}`;
    let boot = booting.get(shape);
    if (!boot) {
      const order = { name, vcpus, memoryMb, revision: current.get(name) ?? '' };
      boot = bootBase(context, { scratch, adopt }, order, ended.signal).finally(() => booting.delete(shape));
      booting.set(shape, boot);
      boot.then(
        () => retire(order),
        () => undefined,
      ); // its failure is the caller's news
    }
    return boot;
  };

  /** Bases of the same name and another revision: kept only for the capsules made from them. */
  const retire = async ({ name, revision }: BaseOrder) => {
    for (const { record, paths } of known.values()) {
      const old = record.kind === 'base' && record.name === name && record.revision !== revision;
      if (old) await writeFile(paths.removed, '');
    }
  };

  const drop = async (template: BootedTemplate) => {
    known.delete(template.key);
    await discard(layout, template.paths.dir);
  };

  return {
    ensure,
    find,
    adopt,
    scratch,
    byKey: (key) => known.get(key) ?? null,
    remove: async (id, stillUsed) => {
      const template = [...known.values()].find(
        ({ record }) => record.kind === 'snapshot' && record.name === id,
      );
      if (!template) return;
      if (stillUsed(template.key)) await writeFile(template.paths.removed, '');
      else await drop(template);
    },
    collect: async (stillUsed) => {
      for (const template of [...known.values()]) {
        if (existsSync(template.paths.removed) && !stillUsed(template.key)) await drop(template);
      }
    },
    snapshots: async () => {
      const found: TemplateOnHost[] = [];
      for (const { record, paths } of known.values()) {
        if (record.kind !== 'snapshot' || existsSync(paths.removed)) continue;
        const { vcpus, memoryMb, diskMb } = record;
        found.push({ id: record.name, vcpus, memoryMb, diskMb, sizeBytes: await allocatedBytes(paths.dir) });
      }
      return found;
    },
    close: async () => {
      ended.abort();
      await Promise.allSettled(booting.values()); // each tells the caller that asked for it
    },
    load: async () => {
      for (const key of await readdir(layout.templates)) {
        const paths = templatePaths(join(layout.templates, key));
        const record = await readJson<TemplateRecord>(paths.json);
        if (record && !key.startsWith('building-')) known.set(key, { key, paths, record });
        else {
          log.info({ key }, 'removing a template that is not whole');
          await discard(layout, paths.dir);
        }
      }
    },
  };
}

/** Bytes that the files of a directory take up on disk. */
export async function allocatedBytes(dir: string): Promise<number> {
  let blocks = 0;
  for (const name of await readdir(dir)) blocks += (await stat(join(dir, name))).blocks;
  return blocks * 512;
}
