/** A whole control plane in this process, over a real PostgreSQL and the mock host. For the contract tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase } from '@aviary/db/testing';
import type { CredentialLimits } from '@aviary/domain/identity';
import { createMockHost, type MockHost } from '@aviary/drivers/mock';
import { createRevert, type Logger, silentLogger, systemClock } from '@aviary/kernel';
import type { MountedRoute } from '@aviary/surfaces/kit';
import { compose } from '../../apps/control-plane/src/compose.ts';
import { readConfig } from '../../apps/control-plane/src/config.ts';
import { openGate } from '../../apps/control-plane/src/gate.ts';
import { prepareShutdown } from '../../apps/control-plane/src/shutdown.ts';

export interface Instance {
  url: string;
  host: MockHost;
  routes: readonly MountedRoute[];
  /** What was logged as a bug; a contract test has none. */
  bugs: object[];
  stop(): Promise<void>;
}

const PLENTY = { max: 100_000, windowSec: 60 };

/** Starts it. `memoryMb` is what the host has for capsules, `env` more settings. */
export async function startInstance(
  options: {
    memoryMb?: number;
    env?: Record<string, string>;
    /** Failed attempts allowed; without, as good as any number. */
    limits?: Partial<CredentialLimits>;
  } = {},
): Promise<Instance> {
  const data = mkdtempSync(join(tmpdir(), 'aviary-contract-'));
  const database = await createTestDatabase([]);
  const host = createMockHost({ clock: systemClock, memoryMb: options.memoryMb ?? 65_536 });
  const bugs: object[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (fields, message) => {
      bugs.push({ message, ...fields });
    },
    child: () => log,
  };
  const closers = createRevert(log);
  closers.push('state directory', () => rmSync(data, { recursive: true, force: true }));
  closers.push('test database', () => database.close());
  const config = readConfig({
    AVIARY_DATA: data,
    AVIARY_LISTEN: '127.0.0.1:0',
    AVIARY_DATABASE_URL: database.url,
    AVIARY_DRIVER: 'mock',
    ...options.env,
  });
  const gate = await openGate(config.listen);
  const stop = prepareShutdown(gate, closers, log);
  const { routes } = await compose({
    config,
    gate,
    clock: systemClock,
    log,
    closers,
    openHost: async () => ({
      capsules: host,
      description: 'mock',
      pool: () => ({ ready: 0, wanted: 0 }),
      warmUp: async () => undefined,
      close: () => host.close(),
    }),
    limits: options.limits ?? {
      loginPerAccountAndIp: PLENTY,
      loginPerIp: PLENTY,
      tokenPerIp: PLENTY,
      signupPerIp: PLENTY,
      lookupPerAccount: PLENTY,
    },
  });
  return { url: `http://127.0.0.1:${gate.port}`, host, routes, bugs, stop };
}
