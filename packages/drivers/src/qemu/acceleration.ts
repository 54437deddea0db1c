/**
 * Which acceleration works, found out by booting: a /dev/kvm may be there and still not run an ordinary
 * kernel (nested or paravirtual hosts). Inside the driver only.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { hostBootId } from './context.ts';
import { readJson, writeJson } from './layout.ts';

export interface Acceleration {
  kind: 'kvm' | 'tcg';
  /** Why, as a sentence. */
  reason: string;
}

/** A kernel without a root disk panics and reboots within half a second; a broken KVM hangs instead. */
const PROBE_MS = 4_000;

/** Probes once per boot of the host; the answer is kept in `stateDir`. */
export async function probeAcceleration(
  qemu: string,
  kernel: () => Promise<string>,
  stateDir: string,
): Promise<Acceleration> {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return {
      kind: 'tcg',
      reason: 'there is no usable /dev/kvm, so capsules run under software emulation (TCG)',
    };
  }
  const remembered = join(stateDir, 'acceleration.json');
  const before = await readJson<Acceleration & { bootId: string }>(remembered);
  if (before?.bootId === hostBootId) return { kind: before.kind, reason: before.reason };
  const failure = await bootUnderKvm(qemu, await kernel());
  const answer: Acceleration =
    failure === null
      ? { kind: 'kvm', reason: 'a test kernel booted under KVM' }
      : { kind: 'tcg', reason: `/dev/kvm is there, but a test kernel did not boot under it: ${failure}` };
  await writeJson(remembered, { ...answer, bootId: hostBootId }, false);
  return answer;
}

/**
 * Null when the kernel comes as far as looking for its root and then resets, which ends QEMU (-no-reboot);
 * otherwise what happened instead.
 */
function bootUnderKvm(qemu: string, kernel: string): Promise<string | null> {
  const args = [
    '-M',
    'microvm,acpi=on,pit=on,rtc=off,isa-serial=off',
    '-accel',
    'kvm',
    '-cpu',
    'host',
    '-m',
    '128',
    '-nodefaults',
    '-no-user-config',
    '-nographic',
    '-no-reboot',
    '-sandbox',
    'on',
    '-kernel',
    kernel,
    '-append',
    'quiet panic=-1 reboot=t 8250.nr_uarts=0',
  ];
  return new Promise((resolve) => {
    const options = { timeout: PROBE_MS, killSignal: 'SIGKILL' } as const;
    execFile(qemu, args, options, (error, _stdout, stderr) => {
      if (!error) resolve(null);
      else if (error.killed) resolve(`nothing happened for ${PROBE_MS / 1000} s`);
      else resolve(shorten(stderr.trim().split('\n').at(-1) || error.message));
    });
  });
}

/** The sentence without the names of program and source file, at most 100 characters. */
function shorten(line: string): string {
  const said = line.replace(/^\S*qemu-system-\w+: /, '').replace(/^\S+\.c:\d+: /, '');
  return said.length > 100 ? `${said.slice(0, 99)}…` : said;
}
