/** A small world for tests of the domain: a real database with identity, events and audit wired as the product does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Migration } from '@aviary/db';
import { createTestDatabase, type TestDatabase } from '@aviary/db/testing';
import { type Clock, silentLogger, systemClock } from '@aviary/kernel';
import { createFakeClock, type FakeClock } from '@aviary/kernel/testing';
import * as audit from '../audit/index.ts';
import * as events from '../events/index.ts';
import * as hosts from '../hosts/index.ts';
import * as operations from '../operations/index.ts';
import * as identity from './index.ts';

/** Migrations of the areas up to hosts. */
export const coreMigrations: readonly Migration[] = [
  ...identity.migrations,
  ...events.migrations,
  ...audit.migrations,
  ...operations.migrations,
  ...hosts.migrations,
];

export interface World {
  db: TestDatabase;
  clock: FakeClock;
  /** Says the same time of day, but sleeps for real; for what waits for PostgreSQL. */
  liveClock: Clock;
  dataDir: string;
  identity: identity.Identity;
  events: events.Events;
  audit: audit.Audit;
  journal: identity.Journal<events.NewEvent>;
  /** What was recorded so far, oldest first. */
  recorded(): Promise<events.DomainEvent[]>;
  /** A new account with its personal team, signed in. */
  person(name: string): Promise<{ session: identity.Session; actor: identity.UserActor }>;
  /** The same control plane once more on the same database, as another replica is. */
  replica(): Promise<identity.Identity>;
  close(): Promise<void>;
}

/** Nobody, from an address of their own. */
export const nobody = { kind: 'nobody', ip: '203.0.113.7' } as const;
export const PASSWORD = 'correct horse battery';

/** A world whose clock stands still; events are delivered in real time, since PostgreSQL's notifications are. */
export async function createWorld(
  options: Partial<Pick<identity.IdentityDeps, 'limits' | 'signups'>> & {
    migrations?: readonly Migration[];
  } = {},
): Promise<World> {
  const db = await createTestDatabase([...coreMigrations, ...(options.migrations ?? [])]);
  const dataDir = await mkdtemp(join(tmpdir(), 'aviary-world-'));
  const clock = createFakeClock();
  const liveClock = { ...systemClock, now: clock.now };
  const log = silentLogger;
  const closers: (() => Promise<unknown>)[] = [];
  const stream = events.createEvents({ db, clock: liveClock, log, owner: 'test' });
  const trail = audit.createAudit({ db, clock, log });
  const journal: identity.Journal<events.NewEvent> = {
    event: stream.record,
    audit: trail.record,
    refused: trail.refused,
  };
  const limits = { signupPerIp: { max: 1_000, windowSec: 3600 }, ...options.limits };
  const { signups = 'open' } = options;
  const people = await identity.createIdentity({ db, journal, dataDir, clock, log, limits, signups });
  stream.subscribe('identity', {}, people.onEvent);
  await stream.start();
  closers.push(stream.stop, people.close);
  return {
    db,
    clock,
    liveClock,
    dataDir,
    identity: people,
    events: stream,
    audit: trail,
    journal,
    recorded: async () => (await stream.list({ limit: 10_000 })).reverse(),
    person: async (name) => {
      const email = `${name}@example.org`;
      const session = await people.signup(nobody, { email, password: PASSWORD, name, username: `${name}-u` });
      const actor = await people.authenticate({ kind: 'jwt', token: session.token }, nobody.ip);
      if (actor.kind !== 'user') throw new Error('a session is not a person');
      return { session, actor };
    },
    replica: async () => {
      const other = await db.replica();
      const otherEvents = events.createEvents({ db: other, clock: liveClock, log, owner: 'replica' });
      const made = await identity.createIdentity({ db: other, journal, dataDir, clock, log, limits });
      otherEvents.subscribe('identity', {}, made.onEvent);
      await otherEvents.start();
      closers.push(otherEvents.stop, made.close);
      return made;
    },
    close: async () => {
      await Promise.all(closers.map((close) => close()));
      await db.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** The code an action is refused with; fails the test when it is not refused. */
export async function codeOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
  throw new Error('it was allowed');
}

/** Waits until `check` holds; real time, for what PostgreSQL's notifications bring. */
export async function eventually(check: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('it did not come true within 10 s');
    await systemClock.sleep(5);
  }
}
