/**
 * The host of a capsule, as this area asks it. What breaks on a host is not a bug of ours: it is said as
 * `host_failed`. Inside the area only.
 */
import { AviaryError, isAviaryError } from '@aviary/kernel';
import type { CapsuleHost } from '@aviary/protocol';
import type { Parts } from './deps.ts';
import type { Capsule } from './model.ts';

const known = new WeakMap<CapsuleHost, CapsuleHost>();

/** The host that has the capsule. Error: host_unavailable. */
export function hostOf(parts: Pick<Parts, 'hosts'>, { hostId }: Pick<Capsule, 'hostId'>): CapsuleHost {
  const host = parts.hosts.links.capsules(hostId);
  let said = known.get(host);
  if (!said) {
    said = speaking(host);
    known.set(host, said);
  }
  return said;
}

function speaking(host: CapsuleHost): CapsuleHost {
  return {
    ...host,
    prepare: (...order) => translate(host.prepare(...order)),
    create: (spec) => translate(host.create(spec)),
    destroy: (id) => translate(host.destroy(id)),
    pause: (id) => translate(host.pause(id)),
    resume: (id) => translate(host.resume(id)),
    fork: (id, children) => translate(host.fork(id, children)),
    snapshot: (id, templateId) => translate(host.snapshot(id, templateId)),
    removeSnapshot: (templateId) => translate(host.removeSnapshot(templateId)),
    guest: (id) => translate(host.guest(id)),
  };
}

async function translate<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isAviaryError(error) && error.code !== 'internal') throw error;
    throw new AviaryError('host_failed', `the host failed: ${(error as Error).message}`, { cause: error });
  }
}
