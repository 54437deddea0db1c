/** A capsule as this process knows it. Inside the driver only. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { AviaryError } from '@aviary/kernel';
import type { CapsuleOnHost } from '@aviary/protocol';
import type { LiveMachine } from './clone.ts';
import type { CapsulePaths } from './layout.ts';
import type { CapsuleRecord } from './records.ts';

/** Address of every guest in the user network of its own. */
const GUEST_IP = '10.0.2.15';

/** A capsule that this process knows. */
export interface Entry {
  record: CapsuleRecord;
  paths: CapsulePaths;
  state: 'running' | 'paused' | 'dead';
  reason: string | null;
  machine: LiveMachine | null;
  /** Set while the machine is ended on purpose, so that its end is not news. */
  ending: boolean;
  /** Operations on one capsule run one after the other. */
  queue: Promise<unknown>;
}

/** An entry in its first state; the caller changes what differs. */
export function newEntry(record: CapsuleRecord, paths: CapsulePaths): Entry {
  return {
    record,
    paths,
    state: 'running',
    reason: null,
    machine: null,
    ending: false,
    queue: Promise.resolve(),
  };
}

/** As the control plane sees it. */
export function onHost({ record, state, reason }: Entry): CapsuleOnHost {
  return { id: record.spec.id, state, reason, guestIp: GUEST_IP };
}

/** Its machine. Error: capsule_not_running. */
export function runningMachine(entry: Entry): LiveMachine {
  if (entry.state === 'running' && entry.machine) return entry.machine;
  throw new AviaryError('capsule_not_running', `capsule ${entry.record.spec.id} is ${entry.state}`);
}

/** Runs `work` after everything asked of this capsule before. */
export function inTurn<T>(entry: Entry, work: () => Promise<T>): Promise<T> {
  const turn = entry.queue.then(work, work);
  entry.queue = turn.catch(() => undefined); // the caller gets the failure, the queue goes on
  return turn;
}

/** The last thing QEMU said, or that it said nothing. */
export async function reasonOfDeath(paths: CapsulePaths): Promise<string> {
  const log = existsSync(paths.log) ? (await readFile(paths.log, 'utf8')).trim() : '';
  const last = log.split('\n').at(-1) ?? '';
  return last === ''
    ? 'its machine ended: shut down inside, out of memory, or killed on the host'
    : `its machine ended: ${last}`;
}
