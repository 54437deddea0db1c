/** A host of mock capsules with the life cycle of a real one. Made by tests and by AVIARY_DRIVER=mock. */
import { randomBytes } from 'node:crypto';
import { AviaryError, type Clock, type RandomBytes } from '@aviary/kernel';
import type { CapsuleHost, CapsuleOnHost, CapsuleSpec, HostEvent, TemplateOnHost } from '@aviary/protocol';
import type { MockFiles } from './files.ts';
import { createMockGuest, type MockGuest } from './guest.ts';
import { createScript, type Script } from './script.ts';

export interface MockHostOptions {
  clock: Clock;
  /** MB for all running capsules together; default 65,536. */
  memoryMb?: number;
  random?: RandomBytes;
}

export interface MockHost extends CapsuleHost {
  /** Failures and delays to order: `create`, `pause`, …, `guest.exec`, `guest.writeFile`, …. */
  readonly script: Pick<Script, 'failNext' | 'holdNext'>;
  /** The capsule dies as if its machine had been killed. */
  kill(id: string, reason: string): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

interface Entry {
  spec: CapsuleSpec;
  guest: MockGuest;
  state: CapsuleOnHost['state'];
  reason: string | null;
  guestIp: string;
}

/** A host with nothing on it. */
export function createMockHost({
  clock,
  memoryMb = 65_536,
  random = randomBytes,
}: MockHostOptions): MockHost {
  const script = createScript();
  const capsules = new Map<string, Entry>();
  const snapshots = new Map<string, { template: TemplateOnHost; files: MockFiles }>();
  const listeners = new Set<(event: HostEvent) => void>();
  let addresses = 0;

  const entryOf = (id: string): Entry => {
    const entry = capsules.get(id);
    if (entry === undefined) throw new AviaryError('capsule_not_found', `no capsule ${id} on this host`);
    return entry;
  };
  const running = (id: string): Entry => {
    const entry = entryOf(id);
    if (entry.state !== 'running')
      throw new AviaryError('capsule_not_running', `the capsule ${id} is ${entry.state}`);
    return entry;
  };
  const onHost = ({ spec, state, reason, guestIp }: Entry): CapsuleOnHost => ({
    id: spec.id,
    state,
    reason,
    guestIp,
  });
  const freeMb = () =>
    memoryMb -
    [...capsules.values()].reduce((sum, e) => sum + (e.state === 'running' ? e.spec.memoryMb : 0), 0);
  const need = (mb: number) => {
    if (mb > freeMb()) {
      throw new AviaryError(
        'capacity_exceeded',
        `the host has ${freeMb()} MB of memory free, ${mb} are needed`,
        {
          details: { free: { memoryMb: freeMb() } },
        },
      );
    }
  };
  const add = (spec: CapsuleSpec, files?: MockFiles): CapsuleOnHost => {
    addresses++;
    const entry: Entry = {
      spec,
      guest: createMockGuest(spec, { clock, script, random }, files),
      state: 'running',
      reason: null,
      guestIp: `10.11.${addresses >> 8}.${addresses & 255}`,
    };
    capsules.set(spec.id, entry);
    return onHost(entry);
  };

  return {
    script,
    facts: async () => ({
      arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
      cpuCores: 64,
      memoryMb,
      diskMb: 10_000_000,
      acceleration: 'mock',
      accelerationReason: 'this host only pretends',
      network: { egress: false, reason: 'a mock capsule has no network' },
      confinement: { full: true, reason: 'nothing runs' },
      versions: {},
    }),
    free: async () => ({ memoryMb: freeMb(), diskMb: 10_000_000 }),
    prepare: () => script.enter('prepare'),
    isPrepared: (ref) => (ref.kind === 'base' ? ref.name === 'minimal' : snapshots.has(ref.id)),
    create: async (spec) => {
      await script.enter('create');
      const existing = capsules.get(spec.id);
      if (existing !== undefined) return onHost(existing);
      need(spec.memoryMb);
      if (spec.template.kind === 'base') {
        if (spec.template.name === 'minimal') return add(spec);
        throw new AviaryError('template_not_found', `no recipe for ${spec.template.name} on this host`);
      }
      const snapshot = snapshots.get(spec.template.id);
      if (snapshot === undefined) {
        throw new AviaryError('template_not_found', `no snapshot ${spec.template.id} on this host`);
      }
      return add(spec, snapshot.files.clone());
    },
    destroy: async (id) => {
      await script.enter('destroy');
      capsules.get(id)?.guest.lose(new AviaryError('capsule_lost', 'the capsule was destroyed'));
      capsules.delete(id);
    },
    pause: async (id) => {
      await script.enter('pause');
      const entry = entryOf(id);
      if (entry.state !== 'paused') running(id).state = 'paused';
    },
    resume: async (id) => {
      await script.enter('resume');
      const entry = entryOf(id);
      if (entry.state === 'dead') throw new AviaryError('capsule_not_paused', `the capsule ${id} is dead`);
      if (entry.state === 'paused') {
        need(entry.spec.memoryMb);
        entry.state = 'running';
      }
      return onHost(entry);
    },
    fork: async (id, children) => {
      await script.enter('fork');
      const source = running(id);
      need(children.reduce((sum, child) => sum + child.memoryMb, 0));
      return children.map((child) => add(child, source.guest.files.clone()));
    },
    snapshot: async (id, templateId) => {
      await script.enter('snapshot');
      const { spec, guest } = running(id);
      const template: TemplateOnHost = {
        id: templateId,
        vcpus: spec.vcpus,
        memoryMb: spec.memoryMb,
        diskMb: spec.diskMb,
        sizeBytes: 1024 * 1024 + guest.files.usedBytes(),
      };
      snapshots.set(templateId, { template, files: guest.files.clone() });
      return template;
    },
    removeSnapshot: async (templateId) => {
      await script.enter('removeSnapshot');
      snapshots.delete(templateId);
    },
    list: async () => [...capsules.values()].map(onHost),
    snapshots: async () => [...snapshots.values()].map((s) => s.template),
    guest: async (id) => {
      await script.enter('guest');
      return running(id).guest;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    kill: (id, reason) => {
      const entry = entryOf(id);
      entry.state = 'dead';
      entry.reason = reason;
      entry.guest.lose(
        new AviaryError('capsule_lost', `the capsule died: ${reason}`, { details: { reason } }),
      );
      for (const listener of listeners) listener({ type: 'capsule.died', id, reason });
    },
    start: async () => undefined,
    close: async () => undefined,
  };
}
