/** From the contract's commands to the guest's: bounds and names checked here. Pure; this surface only. */
import { invalidField } from '@aviary/kernel';
import type { GuestExec } from '@aviary/protocol';
import { guestPath, singleLine } from '../kit/index.ts';
import type { ExecRequest } from './wire.ts';

/** Seconds a foreground command may take; inclusive. */
const TIMEOUT = { min: 1, max: 86_400, default: 30 } as const;
const MAX_ARGS = 4096;

/** Seconds. Errors: invalid_request. */
export function timeoutOf({ timeout_sec }: Pick<ExecRequest, 'timeout_sec'>): number {
  const seconds = timeout_sec ?? TIMEOUT.default;
  if (seconds < TIMEOUT.min || seconds > TIMEOUT.max) {
    throw invalidField('timeout_sec', `must be ${TIMEOUT.min} to ${TIMEOUT.max} seconds`);
  }
  return seconds;
}

/** `cmd` and `args` are argv, never a shell line. Errors: invalid_request. */
export function toGuestExec(body: Omit<ExecRequest, 'timeout_sec' | 'stdin'>): GuestExec {
  const args = body.args ?? [];
  if (args.length > MAX_ARGS) throw invalidField('args', `must not be more than ${MAX_ARGS}`);
  return {
    argv: [guestPath('cmd', body.cmd), ...args],
    ...(body.envs === undefined ? {} : { envs: checkedEnvs(body.envs) }),
    ...(body.cwd === undefined ? {} : { cwd: guestPath('cwd', body.cwd) }),
    ...(body.user === undefined ? {} : { user: singleLine('user', body.user, 64) }),
    ...(body.tag === undefined ? {} : { tag: checkedTag(body.tag) }),
  };
}

/** A selector of all digits is a pid, so a tag must not be. Errors: invalid_request. */
function checkedTag(tag: string): string {
  if (/^\d+$/.test(tag)) throw invalidField('tag', 'must not be only digits: that selects a pid');
  if (!/^[\w.:-]{1,64}$/.test(tag)) throw invalidField('tag', 'must be 1 to 64 of A-Z a-z 0-9 _ . : -');
  return tag;
}

/** POSIX: a name holds no `=`. Errors: invalid_request. */
function checkedEnvs(envs: Record<string, string>): Record<string, string> {
  for (const name of Object.keys(envs)) {
    if (name === '' || name.includes('='))
      throw invalidField('envs', `${JSON.stringify(name)} is no variable name`);
  }
  return envs;
}
