/** The json files that make a directory whole. Inside the driver only. */
import type { CapsuleSpec } from '@aviary/protocol';

/** capsule.json: what a capsule directory is. */
export interface CapsuleRecord {
  spec: CapsuleSpec;
  /** Directory name of the template under templates/. */
  template: string;
  uid: number;
  /** Name of its control group; never changes, unlike the directory's. */
  unit: string;
  /** Counts restores, so that the guest can tell that it was cloned or resumed. */
  generation: number;
}

/** run.json: the process of a running capsule. */
export interface RunRecord {
  pid: number;
  startTime: string;
  /** Kernel's boot id: pids of another boot mean nothing. */
  bootId: string;
}

/** pause.json: the commit point of a pause; pages and devices beside it are whole when it exists. */
export interface PauseRecord {
  pausedAt: string;
  qemuVersion: string;
  /** The agent was quiet when it was stopped. */
  clean: boolean;
}

/** template.json: what a template directory is. */
export interface TemplateRecord {
  kind: 'base' | 'snapshot';
  /** Name of a base, id of a snapshot. */
  name: string;
  vcpus: number;
  memoryMb: number;
  diskMb: number;
  /** File name of the root image under images/. */
  rootfs: string;
  /** A snapshot's disk lies between the image and the capsule's. */
  templateDisk: boolean;
  qemuVersion: string;
  /** What a base was booted from; another one is another template. Of a snapshot: its base's. */
  revision: string;
  createdAt: string;
}
