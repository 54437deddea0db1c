/** What the guest says went wrong, as an AviaryError. guest-link only. */
import { AviaryError, type ErrorCode } from '@aviary/kernel';
import { decodeFields, numberOf, textOf } from './fields.ts';
import { F } from './wire.ts';

/** Linux errno values (x86-64 and arm64 agree on these). */
const BY_ERRNO: Readonly<Record<number, ErrorCode>> = {
  1: 'permission_denied', // EPERM
  2: 'file_not_found', // ENOENT
  3: 'process_not_found', // ESRCH
  13: 'permission_denied', // EACCES
  16: 'permission_denied', // EBUSY
  17: 'file_exists', // EEXIST
  18: 'invalid_request', // EXDEV
  20: 'not_a_directory', // ENOTDIR
  21: 'is_a_directory', // EISDIR
  22: 'invalid_request', // EINVAL
  26: 'permission_denied', // ETXTBSY
  27: 'too_large', // EFBIG
  28: 'no_space', // ENOSPC
  30: 'permission_denied', // EROFS
  36: 'invalid_request', // ENAMETOOLONG
  39: 'file_exists', // ENOTEMPTY
  40: 'invalid_request', // ELOOP
  122: 'no_space', // EDQUOT
};

/** Stages of a request that decide the code whatever the errno is. */
const BY_STAGE: Readonly<Record<string, ErrorCode>> = {
  cwd: 'exec_failed',
  user: 'exec_failed',
  exec: 'exec_failed',
  start: 'exec_failed',
  stdio: 'exec_failed',
  oom: 'exec_failed',
  tag: 'process_tag_taken',
  request: 'invalid_request',
  process: 'process_not_found',
  entropy: 'internal',
  clock: 'internal',
  hostname: 'internal',
  grow: 'internal',
};

/** The payload of a FAIL frame as an error; `what` says what was attempted. */
export function guestFailure(what: string, payload: Buffer): AviaryError {
  const fields = decodeFields(payload);
  const errno = numberOf(fields.get(F.ERRNO));
  const stage = textOf(fields.get(F.STAGE));
  const code = BY_STAGE[stage] ?? BY_ERRNO[errno] ?? 'internal';
  return new AviaryError(code, `${what}: ${textOf(fields.get(F.TEXT))}`, { details: { errno, stage } });
}

/** The capsule died or stopped answering while it was used. */
export function capsuleLost(reason: string): AviaryError {
  return new AviaryError('capsule_lost', `the capsule stopped answering: ${reason}`, { details: { reason } });
}
