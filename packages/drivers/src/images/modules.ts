/**
 * Finds the kernel modules a capsule needs and the order to load them in. Image builder only.
 * Each module names what it depends on in its .modinfo section ("depends=a,b"), so no depmod is needed.
 * Source: Linux scripts/mod/modpost.c (add_depends) and include/linux/moduleinfo (MODULE_INFO).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError } from '@aviary/kernel';

/**
 * Wanted, in this order where dependencies leave a choice: the bus before its devices, and the console first
 * among them, because over it the guest agent says hello.
 */
export const CAPSULE_MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_mmio',
  'virtio_console',
  'virtio_blk',
  'virtio_rng',
  'failover',
  'net_failover',
  'virtio_net',
  'overlay',
] as const;

/** Every module below `root` (a /lib/modules/VERSION directory): canonical name -> path. */
export async function findModules(root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith('.ko')) {
      found.set(canonical(entry.name.slice(0, -3)), join(entry.parentPath, entry.name));
    }
  }
  return found;
}

/**
 * Paths of `wanted` and all they depend on, each after what it needs. Modules that are built into the kernel
 * (`builtin`) are left out. Errors: missing_dependency when the kernel package lacks one.
 */
export async function loadOrder(
  wanted: readonly string[],
  found: ReadonlyMap<string, string>,
  builtin: ReadonlySet<string>,
): Promise<string[]> {
  const order: string[] = [];
  const done = new Set<string>();
  const visit = async (name: string): Promise<void> => {
    if (done.has(name) || builtin.has(name)) return;
    done.add(name);
    const path = found.get(name);
    if (path === undefined) {
      throw new AviaryError(
        'missing_dependency',
        `the kernel package has no module ${name}, which capsules need`,
      );
    }
    for (const needed of dependsOn(await readFile(path))) await visit(needed);
    order.push(path);
  };
  for (const name of wanted) await visit(name);
  return order;
}

/** Canonical names of the modules that the module file `elf` depends on. */
export function dependsOn(elf: Buffer): string[] {
  const start = elf.indexOf('\0depends=');
  if (start < 0) return [];
  const from = start + '\0depends='.length;
  const names = elf.toString('latin1', from, elf.indexOf(0, from));
  return names === '' ? [] : names.split(',').map(canonical);
}

/** Names of built-in modules, from the text of a modules.builtin file. */
export function builtinModules(text: string): Set<string> {
  const names = [...text.matchAll(/([^/\n]+)\.ko$/gm)].map((match) => canonical(match[1] ?? ''));
  return new Set(names);
}

/** The kernel treats - and _ in module names as one. */
function canonical(name: string): string {
  return name.replaceAll('-', '_');
}
