/** The wrenn surface: the published capsule API on our domain. The control plane mounts it. */
import type { Capsules } from '@aviary/domain/capsules';
import type { Identity } from '@aviary/domain/identity';
import type { Clock } from '@aviary/kernel';
import { defineSurface, type Surface } from '../kit/index.ts';
import { createAuth } from './auth.ts';
import { DOCUMENT, type WrennOperations } from './contract.ts';
import { errors, renderError, renderSocketError } from './errors.ts';
import { accountOperations } from './operations/accounts.ts';
import { capsuleOperations } from './operations/capsules.ts';
import { execOperations } from './operations/exec.ts';
import { fileOperations } from './operations/files.ts';
import { processOperations } from './operations/processes.ts';
import { snapshotOperations } from './operations/snapshots.ts';
import { teamOperations } from './operations/teams.ts';
import { execStreams } from './stream/exec.ts';
import { ptyStream } from './stream/pty.ts';

export { DOCUMENT, NOT_SERVED, PUBLISHED } from './contract.ts';
export { errors, renderError, renderSocketError } from './errors.ts';

export interface WrennDeps {
  identity: Identity;
  capsules: Capsules;
  clock: Clock;
}

/** The surface, to be mounted. */
export function createWrennSurface({ identity, capsules, clock }: WrennDeps): Surface {
  const operations: WrennOperations = {
    ...accountOperations(identity),
    ...teamOperations(identity),
    ...capsuleOperations(capsules),
    ...execOperations(capsules, clock),
    ...processOperations(capsules),
    ...snapshotOperations(capsules),
    ...fileOperations(capsules),
    ...execStreams(capsules),
    ...ptyStream(capsules, clock),
  };
  return defineSurface({
    name: 'wrenn',
    prefix: '/v1',
    document: DOCUMENT,
    operations,
    auth: createAuth(identity),
    errors,
    renderError,
    renderSocketError,
  });
}
