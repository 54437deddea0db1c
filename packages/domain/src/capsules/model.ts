/**
 * Capsules and their templates: types, states, bounds. Pure; the whole area and the surfaces may use it.
 *
 *             create                    pause                 destroy
 *   (row) ─► pending ─► starting ─► running ⇄ paused ─────────────────► stopped
 *               │           │          │  resume   │
 *               └───────────┴─ error ◄─┘           └─► missing (its host is silent; back: what really is)
 *
 * pending   recorded; the template is being prepared for this size on first use
 * starting  being cloned, or being resumed
 * error     it died or could not be made; `statusReason` says why; only destroy is left
 * stopped   destroyed: read by id, not listed
 *
 * A transition under way is the column `transition`; setting it where it is null is the lock.
 */
import type { HostProgress, TemplateRef } from '@aviary/protocol';

export type CapsuleStatus = 'pending' | 'starting' | 'running' | 'paused' | 'stopped' | 'missing' | 'error';

/** States of a capsule that still exists. */
export const LIVING: readonly CapsuleStatus[] = ['pending', 'starting', 'running', 'paused', 'missing'];

/** What is being done to a capsule right now; null when nothing. */
export type CapsuleTransition =
  | 'creating'
  | 'pausing'
  | 'resuming'
  | 'forking'
  | 'snapshotting'
  | 'destroying';

/** A capsule as everybody may read it. Sizes in MB (2^20 bytes). */
export interface Capsule {
  id: string;
  teamId: string;
  hostId: string;
  status: CapsuleStatus;
  /** Why it is in `error` or `missing`, or what a pending one waits for; null otherwise. */
  statusReason: string | null;
  transition: CapsuleTransition | null;
  /** Name of the template it was made from. */
  template: string;
  templateRef: TemplateRef;
  vcpus: number;
  memoryMb: number;
  diskMb: number;
  /** Seconds of inactivity after which it is paused; 0 = never. */
  timeoutSec: number;
  metadata: Readonly<Record<string, string>>;
  /** Default user of commands and files inside. */
  user: string;
  guestIp: string;
  hostIp: string;
  createdAt: Date;
  startedAt: Date | null;
  lastActiveAt: Date | null;
  updatedAt: Date;
}

/** What capsules are made from. Bases are built in and public, snapshots belong to a team. */
export interface Template {
  id: string;
  name: string;
  type: 'base' | 'snapshot';
  teamId: string | null;
  vcpus: number | null;
  memoryMb: number | null;
  diskMb: number | null;
  sizeBytes: number;
  createdAt: Date;
}

/** Order for a new capsule; absent fields take {@link DEFAULTS}, or the snapshot's own sizes. */
export interface CreateCapsule {
  template?: string | undefined;
  vcpus?: number | undefined;
  memoryMb?: number | undefined;
  diskMb?: number | undefined;
  timeoutSec?: number | undefined;
  envs?: Readonly<Record<string, string>> | undefined;
  metadata?: Readonly<Record<string, string>> | undefined;
  user?: string | undefined;
}

export interface CapsuleFilter {
  status?: CapsuleStatus | undefined;
  template?: string | undefined;
  /** Every pair must match. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** 1-1000. */
  limit?: number | undefined;
  /** Opaque, from the previous page. */
  cursor?: string | undefined;
}

/** One page; `nextCursor` is null on the last. */
export interface CapsulePage {
  capsules: Capsule[];
  nextCursor: string | null;
}

/** Freeze a running capsule into a template. */
export interface CreateSnapshot {
  capsuleId: string;
  /** Generated (`template-` + 8 hex) when absent. */
  name?: string | undefined;
  overwrite?: boolean | undefined;
  /** The published contract ends the source capsule; true lets it run on. */
  keepRunning?: boolean | undefined;
}

export const DEFAULTS = {
  template: 'minimal',
  vcpus: 1,
  memoryMb: 512,
  diskMb: 5120,
  timeoutSec: 0,
  user: 'root',
} as const;

/** Inclusive bounds, named in the refusal. */
export const BOUNDS = {
  vcpus: { min: 1, max: 4 },
  memoryMb: { min: 128, max: 8192 },
  diskMb: { min: 5120, max: 65536 },
  timeoutSec: { min: 0, max: 31_536_000 },
  forkCount: { min: 1, max: 64 },
} as const;

/** `^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$` (reference: template names). */
export const TEMPLATE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;

/** Names of built-in templates; reserved for the system. */
export const BASE_TEMPLATES = ['minimal'] as const;

/** Where a preparation stands, for the status of pending capsules. */
export type Preparation = HostProgress;
