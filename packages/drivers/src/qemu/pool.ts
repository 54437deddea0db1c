/**
 * The warm pool: clones that ran one command and were stopped, per template and size. Claiming one takes
 * milliseconds. Refilled in the background, one at a time, and only while no request waits. Inside the
 * driver only.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { randomHex } from '@aviary/kernel';
import { endMachine, type LiveMachine, prepareDirectory, startClone, warmAndStop } from './clone.ts';
import type { DriverContext } from './context.ts';
import { rehearsalIdentity } from './identity.ts';
import { capsulePaths, discard } from './layout.ts';
import type { BootedTemplate } from './templates.ts';

/** A warm clone without a name yet. */
export interface PoolMember {
  unit: string;
  uid: number;
  machine: LiveMachine;
  /** Its directory under pool/. */
  dir: string;
}

export interface Pool {
  /** A warm clone of the template, or null when none is ready. */
  claim(template: BootedTemplate): PoolMember | null;
  /** Keep that many of this template ready from now on (a hint: memory bounds it). */
  want(template: BootedTemplate, count: number): void;
  /** Counts requests under way; the pool fills only while there are none. */
  busy<T>(work: () => Promise<T>): Promise<T>;
  /** Ready and wanted clones, over all templates. */
  status(): { ready: number; wanted: number };
  /** Ends the members of a template that goes away. */
  drop(key: string): Promise<void>;
  /** Removes what an earlier process left in pool/. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** Pause after a failed refill, so that a broken host is not kept busy. */
const RETRY_MS = 5_000;

export function createPool(context: DriverContext, maxMembers: number): Pool {
  const { layout, log, uids } = context;
  const shelves = new Map<string, { template: BootedTemplate; wanted: number; ready: PoolMember[] }>();
  let working = 0;
  let filling: Promise<void> | null = null;
  let closed = false;
  let retry: NodeJS.Timeout | null = null;

  const readyCount = () => [...shelves.values()].reduce((sum, shelf) => sum + shelf.ready.length, 0);

  /** The emptiest shelf first, within the bound over all. */
  const nextShelf = () => {
    if (readyCount() >= maxMembers) return undefined;
    return [...shelves.values()]
      .filter((shelf) => shelf.ready.length < shelf.wanted)
      .sort((a, b) => a.ready.length - b.ready.length)[0];
  };

  const fill = () => {
    if (filling || closed || working > 0 || retry || !nextShelf()) return;
    filling = addOne()
      .catch((error) => {
        log.warn({ err: error }, 'the warm pool could not be refilled');
        retry = setTimeout(() => {
          retry = null;
          fill();
        }, RETRY_MS);
      })
      .finally(() => {
        filling = null;
        fill();
      });
  };

  const addOne = async () => {
    const shelf = nextShelf();
    if (!shelf) return;
    const member = await makeMember(context, shelf.template);
    member.machine.qmp.closed.then(() => {
      shelf.ready = shelf.ready.filter((other) => other !== member);
    });
    if (closed || !shelves.has(shelf.template.key)) await discardMember(member);
    else shelf.ready.push(member);
  };

  const discardMember = async (member: PoolMember) => {
    await endMachine(context, member.machine, member.unit);
    uids.release(member.uid);
    await discard(layout, member.dir);
  };

  return {
    claim: (template) => shelves.get(template.key)?.ready.shift() ?? null,
    want: (template, count) => {
      const shelf = shelves.get(template.key);
      if (shelf) shelf.wanted = Math.max(shelf.wanted, count);
      else shelves.set(template.key, { template, wanted: count, ready: [] });
      fill();
    },
    busy: async (work) => {
      working++;
      try {
        return await work();
      } finally {
        working--;
        setImmediate(fill);
      }
    },
    status: () => ({
      ready: readyCount(),
      wanted: [...shelves.values()].reduce((sum, shelf) => sum + shelf.wanted, 0),
    }),
    drop: async (key) => {
      const shelf = shelves.get(key);
      shelves.delete(key);
      for (const member of shelf?.ready ?? []) await discardMember(member);
    },
    clear: async () => {
      for (const name of await readdir(layout.pool)) await discard(layout, join(layout.pool, name));
    },
    close: async () => {
      closed = true;
      if (retry) clearTimeout(retry);
      await filling;
      for (const shelf of shelves.values())
        for (const member of shelf.ready.splice(0)) await discardMember(member);
    },
  };
}

async function makeMember(context: DriverContext, template: BootedTemplate): Promise<PoolMember> {
  const { layout, uids, log } = context;
  const unit = `c-${randomHex(8)}`;
  const dir = join(layout.pool, unit);
  const paths = capsulePaths(dir);
  const uid = uids.take();
  let machine: LiveMachine | null = null;
  try {
    await prepareDirectory(template, paths);
    machine = await startClone(context, { unit, uid, template, paths, state: null });
    await warmAndStop(machine, paths, log, rehearsalIdentity(context));
    return { unit, uid, machine, dir };
  } catch (error) {
    if (machine) await endMachine(context, machine, unit);
    uids.release(uid);
    await discard(layout, dir);
    throw error;
  }
}
