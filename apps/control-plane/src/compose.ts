/** The only place where parts are wired: database, areas, this machine as a host, surfaces. Used by main. */
import { migrate, openDatabase } from '@aviary/db';
import * as audit from '@aviary/domain/audit';
import * as capsules from '@aviary/domain/capsules';
import * as events from '@aviary/domain/events';
import * as hosts from '@aviary/domain/hosts';
import * as identity from '@aviary/domain/identity';
import * as operations from '@aviary/domain/operations';
import type { Clock, Logger, Revert } from '@aviary/kernel';
import { createApp, type MountedRoute, mergeDocuments, mountSurface } from '@aviary/surfaces/kit';
import { createWrennSurface, errors, renderError, renderSocketError } from '@aviary/surfaces/wrenn';
import type { Gate } from './gate.ts';
import type { openLocalHost, Say } from './host.ts';
import { instanceId } from './instance.ts';
import { acceptedHosts } from './listen.ts';
import { createMetrics } from './metrics.ts';
import { OPERATIONAL_DOCUMENT } from './operational/document.ts';
import { createOperationalSurface } from './operational/index.ts';
import type { Config } from './settings.ts';

export interface ComposeDeps {
  config: Config;
  gate: Gate;
  clock: Clock;
  log: Logger;
  /** Gets an undo for everything that is opened; run in reverse it is the shutdown. */
  closers: Revert;
  /** Opens this machine as a host; tests open one they hold. */
  openHost: typeof openLocalHost;
  /** Tells a person what is being prepared; silent by default. */
  say?: Say;
  /** Failed attempts allowed; the defaults are identity's. */
  limits?: Partial<identity.CredentialLimits>;
}

export interface Composed {
  /** What capsules run on, as a sentence. */
  host: string;
  /** No account exists yet. */
  first: boolean;
  /** All declared routes, for the walk over them. */
  routes: readonly MountedRoute[];
}

/** Opens everything in order and lets requests in at the end. */
export async function compose({
  config,
  gate,
  clock,
  log,
  closers,
  openHost,
  say = () => undefined,
  limits = {},
}: ComposeDeps): Promise<Composed> {
  gate.waitFor('the database');
  const db = await openDatabase({ url: config.databaseUrl ?? undefined, dataDir: config.data, log, clock });
  closers.push('database', () => db.close());
  gate.waitFor('the migrations');
  await migrate(db.kysely, [
    ...identity.migrations,
    ...events.migrations,
    ...audit.migrations,
    ...operations.migrations,
    ...hosts.migrations,
    ...capsules.migrations,
  ]);

  gate.waitFor('the domain');
  const owner = await instanceId(config.data);
  const stream = events.createEvents({ db, clock, log, owner });
  const trail = audit.createAudit({ db, clock, log });
  const journal: identity.Journal<events.NewEvent> = {
    event: (trx, event) => stream.record(trx, event),
    audit: (trx, entry) => trail.record(trx, entry),
    refused: (entry) => trail.refused(entry),
  };
  const people = await identity.createIdentity({
    db,
    journal,
    dataDir: config.data,
    clock,
    log,
    limits,
    signups: config.signup,
  });
  closers.push('identity', () => people.close());
  const jobs = operations.createOperations({ db, clock, log, owner });
  const machines = hosts.createHosts({ db, journal, clock, log });

  const boxes = capsules.createCapsules({
    db,
    journal,
    operations: jobs,
    hosts: machines,
    clock,
    log,
  });

  closers.push('events', () => stream.stop());
  stream.subscribe('identity', {}, (event) => people.onEvent(event));
  await stream.start();
  closers.push('audit', () => trail.stop());
  await trail.start();

  gate.waitFor('this machine as a host');
  const local = await openHost(config, { clock, log, say });
  closers.push('host', () => local.close());
  if (local.capsules !== null) {
    const machine = await machines.ensureLocalHost(owner, await local.capsules.facts());
    closers.push('link', machines.links.connect(machine.id, { capsules: local.capsules }));
    gate.waitFor('what an earlier process left behind');
    await boxes.attachHost(machine.id);
  }
  closers.push('operations', () => jobs.stop());
  await jobs.recover();
  await jobs.start();
  closers.push('capsules', () => boxes.stop());
  await boxes.start(stream);

  const app = createApp({
    server: gate.server,
    log,
    trustedHops: config.trustProxy,
    hosts: acceptedHosts(config),
    fallback: { errors, renderError },
  });
  closers.push('http', () => app.close());
  const metrics = createMetrics(
    [
      {
        name: 'aviary_capsules',
        help: 'Capsules that exist, by status; stopped and failed ones are not counted',
        labelNames: ['status'],
        read: async () =>
          Object.entries(await boxes.countByStatus()).map(([status, value]) => ({
            labels: { status },
            value,
          })),
      },
      {
        name: 'aviary_capsule_pool',
        help: 'Warm capsules of this machine',
        labelNames: ['state'],
        read: async () =>
          Object.entries(local.pool()).map(([state, value]) => ({ labels: { state }, value })),
      },
    ],
    log,
  );
  metrics.watch(app);
  const wrenn = createWrennSurface({ identity: people, capsules: boxes, clock });
  const routes: MountedRoute[] = [];
  let document = OPERATIONAL_DOCUMENT;
  const operational = createOperationalSurface({
    metrics,
    metricsPublic: config.metricsPublic,
    ailment: () => (db.health() === 'up' ? null : 'the database'),
    document: () => document,
    errors,
    renderError,
    renderSocketError,
  });
  for (const surface of [operational, wrenn])
    routes.push(...(await mountSurface(app, surface, { log, clock })));
  document = mergeDocuments(OPERATIONAL_DOCUMENT, [wrenn], routes);
  await app.ready();
  gate.open(app.routing);

  // the first capsule of a fresh machine should not wait longer than it must, and nobody waits for this
  local.warmUp(capsules.DEFAULTS.vcpus, capsules.DEFAULTS.memoryMb).catch((error: unknown) => {
    log.warn({ err: error }, 'the default capsule could not be prepared; creating one will say why');
  });
  return { host: local.description, first: !(await people.anyAccount()), routes };
}
