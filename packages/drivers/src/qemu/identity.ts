/** What a machine is told about itself before anything runs in it. Inside the driver only. */
import { createHash } from 'node:crypto';
import type { GuestIdentity } from '../guest-link/index.ts';
import type { DriverContext } from './context.ts';
import type { CapsuleRecord } from './records.ts';

/** Of a capsule: fresh entropy and clock each time, the same name and machine id for its life. */
export function identityOf(
  context: Pick<DriverContext, 'random' | 'now'>,
  { spec, generation }: Pick<CapsuleRecord, 'spec' | 'generation'>,
  growDisk: boolean,
): GuestIdentity {
  return {
    entropy: context.random(64),
    realtime: context.now(),
    hostname: spec.id,
    machineId: createHash('sha256').update(spec.id).digest('hex').slice(0, 32),
    generation,
    envs: spec.envs,
    user: spec.user,
    growDisk,
  };
}

/** Of a warm clone that nobody has claimed yet; replaced whole when somebody does. */
export function rehearsalIdentity(context: Pick<DriverContext, 'random' | 'now'>): GuestIdentity {
  return {
    entropy: context.random(64),
    realtime: context.now(),
    hostname: 'capsule',
    machineId: context.random(16).toString('hex'),
    generation: 0,
    envs: {},
    user: 'root',
  };
}
