/** What all parts of the QEMU driver share, made once by index.ts. Inside the driver only. */
import { readFileSync } from 'node:fs';
import type { Logger, RandomBytes } from '@aviary/kernel';
import type { HostProgress } from '@aviary/protocol';
import type { Launcher } from './launcher.ts';
import type { Layout } from './layout.ts';

/** Where the pieces of a boot come from; the image store builds each on first use. */
export interface BootImages {
  kernel(): Promise<string>;
  initramfs(): Promise<string>;
  /** Path of a root file system, named by its content. */
  rootfs(name: string): Promise<string>;
}

export interface DriverContext {
  layout: Layout;
  log: Logger;
  random: RandomBytes;
  now: () => Date;
  launcher: Launcher;
  images: BootImages;
  hostTool: string;
  qemuVersion: string;
  acceleration: 'kvm' | 'tcg';
  uids: UidAllocator;
  /** Progress of long work, to whoever listens. */
  report: (subject: string, progress: HostProgress) => void;
}

/** Hands out a user id of its own to each process. */
export interface UidAllocator {
  take(): number;
  /** Marks one found after a restart as taken. */
  adopt(uid: number): void;
  release(uid: number): void;
}

/** Ids from a range that no account of a Debian machine uses. */
export function createUidAllocator(first = 0x70000000): UidAllocator {
  const taken = new Set<number>();
  return {
    take: () => {
      let uid = first;
      while (taken.has(uid)) uid++;
      taken.add(uid);
      return uid;
    },
    adopt: (uid) => {
      taken.add(uid);
    },
    release: (uid) => {
      taken.delete(uid);
    },
  };
}

/** Identity of the host's current boot. */
export const hostBootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Kilohertz of the host's time stamp counter, for the kernel's tsc_early_khz. */
export function hostTscKhz(): number {
  const match = /^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return Math.round(Number(match?.[1] ?? '2000') * 1000);
}
