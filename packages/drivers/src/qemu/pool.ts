/**
 * The warm pool: clones that ran one command and were stopped, per template and size. Claiming one takes
 * milliseconds. Refilled in the background, one at a time, and only while nobody uses a capsule. Inside the
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
  /** Somebody works in a capsule: the pool keeps its hands off the processors for a moment. */
  used(): void;
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

/** So long nobody must have used a capsule before the pool takes the processors, unless it is half empty. */
const QUIET_MS = 300;

interface Shelf {
  template: BootedTemplate;
  wanted: number;
  ready: PoolMember[];
}

export function createPool(context: DriverContext, maxMembers: number): Pool {
  const { layout, log, uids } = context;
  const shelves = new Map<string, Shelf>();
  let working = 0;
  let filling: Promise<void> | null = null;
  let closed = false;
  let later: NodeJS.Timeout | null = null;
  let lastUse = Number.NEGATIVE_INFINITY;

  /** Tries again in so many milliseconds; an earlier appointment is kept. */
  const fillLater = (ms: number) => {
    later ??= setTimeout(() => {
      later = null;
      fill();
    }, ms);
  };

  const readyCount = () => [...shelves.values()].reduce((sum, shelf) => sum + shelf.ready.length, 0);

  /** The emptiest shelf first, within the bound over all. */
  const nextShelf = () => {
    if (readyCount() >= maxMembers) return undefined;
    return [...shelves.values()]
      .filter((shelf) => shelf.ready.length < shelf.wanted)
      .sort((a, b) => a.ready.length - b.ready.length)[0];
  };

  const fill = () => {
    const shelf = nextShelf();
    if (filling || closed || working > 0 || later || !shelf) return;
    const quietFor = performance.now() - lastUse;
    if (quietFor < QUIET_MS && shelf.ready.length * 2 >= shelf.wanted) return fillLater(QUIET_MS - quietFor);
    filling = addOne(shelf)
      .catch((error) => {
        log.warn({ err: error }, 'the warm pool could not be refilled');
        fillLater(RETRY_MS);
      })
      .finally(() => {
        filling = null;
        fill();
      });
  };

  const addOne = async (shelf: Shelf) => {
    const member = await makeMember(context, shelf.template);
    member.machine.qmp.closed.then(() => {
      if (!shelf.ready.includes(member)) return; // claimed, or ended on purpose
      shelf.ready = shelf.ready.filter((other) => other !== member);
      discardMember(member).catch((err) => log.warn({ err }, 'a dead warm clone could not be removed'));
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
        lastUse = performance.now();
        setImmediate(fill);
      }
    },
    used: () => {
      lastUse = performance.now();
    },
    status: () => ({
      ready: readyCount(),
      wanted: [...shelves.values()].reduce((sum, shelf) => sum + shelf.wanted, 0),
    }),
    drop: async (key) => {
      const shelf = shelves.get(key);
      shelves.delete(key);
      for (const member of shelf?.ready.splice(0) ?? []) await discardMember(member);
    },
    clear: async () => {
      for (const name of await readdir(layout.pool)) await discard(layout, join(layout.pool, name));
    },
    close: async () => {
      closed = true;
      if (later) clearTimeout(later);
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
