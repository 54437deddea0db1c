/** What a clone is told about itself. Drivers make it, guest-link sends it. */
import { encodeFields, type FieldValue } from './fields.ts';
import { F } from './wire.ts';

/** The identity of one capsule, set before anything runs in it. */
export interface GuestIdentity {
  /** At least 64 random bytes, fresh for every clone and every resume. */
  entropy: Uint8Array;
  /** Wall clock, taken as late as possible. */
  realtime: Date;
  /** At most 63 characters. */
  hostname: string;
  /** 32 lower-case hex digits. */
  machineId: string;
  /** Counts clones and resumes of this memory, so that programs can notice one (/run/aviary/generation). */
  generation: number;
  /** Default environment of commands. */
  envs: Readonly<Record<string, string>>;
  /** Default user of commands and owner of new files. */
  user: string;
  /** The disk is larger than its file system: grow it. */
  growDisk?: boolean;
}

/** Fields of a RESTORE request. */
export function identityFields(identity: GuestIdentity): Buffer {
  const fields: [number, FieldValue][] = [
    [F.ENTROPY, identity.entropy],
    [F.REALTIME, BigInt(identity.realtime.getTime()) * 1_000_000n],
    [F.HOSTNAME, identity.hostname],
    [F.MACHINE_ID, identity.machineId],
    [F.GENERATION, identity.generation],
    [F.USER, identity.user],
  ];
  for (const [key, value] of Object.entries(identity.envs)) fields.push([F.ENV, `${key}=${value}`]);
  if (identity.growDisk) fields.push([F.GROW, true]);
  return encodeFields(fields);
}
