/**
 * What a host does for capsules. The domain calls it, drivers implement it; on the first machine the call
 * is direct, on others it goes through the agent's connection. Every call is idempotent for its id.
 */
import type { Guest } from './guest.ts';

/** What a capsule is cloned from. A base is built on the host from a named recipe, a snapshot was taken there. */
export type TemplateRef = { kind: 'base'; name: string } | { kind: 'snapshot'; id: string };

/** A capsule as ordered. Sizes in MB (2^20 bytes). */
export interface CapsuleSpec {
  id: string;
  template: TemplateRef;
  vcpus: number;
  memoryMb: number;
  diskMb: number;
  envs: Readonly<Record<string, string>>;
  /** Default user of its commands and files. */
  user: string;
}

/** A capsule as it stands on the host. */
export interface CapsuleOnHost {
  id: string;
  state: 'running' | 'paused' | 'dead';
  /** Why it is dead, as a sentence; null otherwise. */
  reason: string | null;
  /** Address of the guest in its own network. */
  guestIp: string;
}

/** A snapshot as it stands on the host. */
export interface TemplateOnHost {
  id: string;
  vcpus: number;
  memoryMb: number;
  diskMb: number;
  /** Bytes allocated on disk. */
  sizeBytes: number;
}

/** What a host can do, found out by trying. */
export interface HostFacts {
  arch: string;
  cpuCores: number;
  memoryMb: number;
  diskMb: number;
  /** `kvm`, `tcg` (software emulation) or `mock`. */
  acceleration: 'kvm' | 'tcg' | 'mock';
  /** Why that acceleration, as a sentence. */
  accelerationReason: string;
  /** Whether capsules reach the internet, and if not, why. */
  network: { egress: boolean; reason: string };
  /** Whether each capsule's process is confined (own user, namespaces, limits), and if not, why. */
  confinement: { full: boolean; reason: string };
  /** Programs and their versions, e.g. { qemu: '7.2.22' }. */
  versions: Readonly<Record<string, string>>;
}

/** Progress of a long preparation, for status and logs. */
export interface HostProgress {
  /** What is being done, as a short sentence. */
  step: string;
  /** 0-100, or null when unknown. */
  percent: number | null;
}

/** What a host tells unasked. */
export type HostEvent =
  | { type: 'capsule.died'; id: string; reason: string }
  | { type: 'progress'; subject: string; progress: HostProgress };

/** Free for new capsules right now, MB. */
export interface HostFree {
  memoryMb: number;
  diskMb: number;
}

/** The capsule side of a host. Errors are AviaryError; unknown ids are capsule_not_found unless stated. */
export interface CapsuleHost {
  facts(): Promise<HostFacts>;
  free(): Promise<HostFree>;
  /** Builds what the template and size need, if it is not there yet; create does this too. */
  prepare(template: TemplateRef, vcpus: number, memoryMb: number): Promise<void>;
  /** True when `create` would not have to build anything first. */
  isPrepared(template: TemplateRef, vcpus: number, memoryMb: number): boolean;
  /** From the warm pool, else a clone. Running and personalised (entropy, clock, identity) when it resolves. */
  create(spec: CapsuleSpec): Promise<CapsuleOnHost>;
  /** Gone with all its files, whatever its state; unknown ids resolve too. */
  destroy(id: string): Promise<void>;
  /** Memory and device state on disk, process ended. On failure the capsule still runs. */
  pause(id: string): Promise<void>;
  /** On failure the capsule is still paused. */
  resume(id: string): Promise<CapsuleOnHost>;
  /** New running capsules with the memory, processes and disk of `id`, which goes on. All or none. */
  fork(id: string, children: readonly CapsuleSpec[]): Promise<CapsuleOnHost[]>;
  /** Copies the running `id` into a template; the capsule itself runs on. */
  snapshot(id: string, templateId: string): Promise<TemplateOnHost>;
  /** Running children keep going; unknown ids resolve too. */
  removeSnapshot(templateId: string): Promise<void>;
  /** Every capsule this host knows, whatever its state. */
  list(): Promise<CapsuleOnHost[]>;
  /** Every whole snapshot this host holds. */
  snapshots(): Promise<TemplateOnHost[]>;
  /** The inside of a running capsule. Errors: capsule_not_found, capsule_not_running. */
  guest(id: string): Promise<Guest>;
  /** Listens until the returned function is called. */
  subscribe(listener: (event: HostEvent) => void): () => void;
}
