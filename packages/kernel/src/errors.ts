/**
 * The closed vocabulary of failures. Everyone may use it; it imports nothing.
 * An error is thrown once with a code from this table; each surface maps every code once.
 */

/** Code -> when it is thrown. The key is stable: scripts match on it. */
export const ERROR_CODES = {
  // the request
  invalid_request: 'a field is missing, malformed or out of its bounds; `details.field` names it',
  too_large: 'the body or file is over the limit of this route',
  rate_limited: 'too many attempts; `details.retryAfterSec` says when to try again',
  not_found: 'no such route or object, or none that this actor may know of',
  method_not_allowed: 'the path exists, the method does not',
  misdirected:
    'the Host header names somebody else: a page of another site, or a name that is not configured',
  upgrade_required: 'the route is a WebSocket and the request does not ask for one',
  // who asks
  unauthorized: 'no credential, or one that is unknown, expired or revoked',
  invalid_credentials: 'user name, e-mail or password is wrong',
  forbidden: 'the actor is known and may not do this',
  email_taken: 'another account has this e-mail address',
  username_taken: 'another account has this user name',
  already_member: 'the account is in the team already',
  // capsules and templates
  capsule_not_found: 'no such capsule in the team',
  capsule_not_running: 'the operation needs a running capsule',
  capsule_not_paused: 'the operation needs a paused capsule',
  capsule_busy: 'another operation on the capsule is under way',
  template_not_found: 'no such template for this team',
  template_name_taken: 'a template of the team has this name and overwrite was not asked for',
  name_reserved: 'the name belongs to the system',
  capacity_exceeded: 'the host cannot hold it; `details.free` says what is free',
  capsule_lost: 'the capsule died or stopped answering while it was used; `details.reason` says how',
  // inside a capsule
  process_not_found: 'no such pid or tag in the capsule',
  process_tag_taken: 'a running process of the capsule has this tag',
  exec_failed: 'the command could not be started: working directory, user or arguments',
  file_not_found: 'no such file or directory in the capsule',
  file_exists: 'the path exists already',
  not_a_directory: 'the path, or a part of it, is not a directory',
  is_a_directory: 'the path is a directory where a file is needed',
  permission_denied: 'the capsule refused the access',
  no_space: 'the disk of the capsule is full',
  // parts and machines
  host_unavailable: 'the host does not answer',
  host_failed: 'the host could not do what was asked; the message says what went wrong there',
  missing_dependency: 'a program this needs is not installed; the message says how to get it',
  database_unavailable: 'PostgreSQL does not answer; nothing was changed',
  shutting_down: 'this process is draining; try again',
  conflict: 'the state changed meanwhile',
  timeout: 'it took longer than allowed',
  internal: 'a bug: nothing the caller did can explain it',
} as const;

/** A stable code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What a failure carries besides its sentence. Never a secret. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** The only error class that crosses a room's border. The message says what was attempted and what to do. */
export class AviaryError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AviaryError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** A refused field: `invalid_request` with the field named in sentence and details. */
export function invalidField(field: string, why: string): AviaryError {
  return new AviaryError('invalid_request', `${field}: ${why}`, { details: { field } });
}

/** True for an {@link AviaryError}, of one of the codes when any are given. */
export function isAviaryError(error: unknown, ...codes: ErrorCode[]): error is AviaryError {
  return error instanceof AviaryError && (codes.length === 0 || codes.includes(error.code));
}

/** Anything thrown, as an {@link AviaryError}; what is not one yet becomes `internal` with its cause kept. */
export function toAviaryError(error: unknown): AviaryError {
  if (error instanceof AviaryError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new AviaryError('internal', `unexpected failure: ${text}`, { cause: error });
}
