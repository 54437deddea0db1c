/**
 * What PostgreSQL's failures mean to the house. Used by the pool (every query passes through `translate`)
 * and by areas that expect a unique violation. SQLSTATE codes: PostgreSQL manual, appendix A.
 */
import { AviaryError } from '@aviary/kernel';
import pg from 'pg';

/** Class 08 is connection trouble, 57P is a server that stops or starts, 53300 is too many connections. */
const AWAY = /^(08...|57P0[1235]|53300)$/;
/** Messages of `pg` itself, which carry no code. */
const AWAY_TEXT =
  /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|connection timeout|Query read timeout|Client was closed/i;
const AWAY_ERRNO = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
]);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** True when the failure says that PostgreSQL does not answer, rather than that it refused. */
export function isAway(error: unknown): boolean {
  const code = codeOf(error);
  if (error instanceof pg.DatabaseError) return AWAY.test(code);
  return AWAY_ERRNO.has(code) || (error instanceof Error && AWAY_TEXT.test(error.message));
}

/** True for failures that go away when the transaction is repeated: serialization failure, deadlock. */
export function isRepeatable(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/** True when `error` is a unique violation (SQLSTATE 23505), of that constraint or index when one is named. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    error instanceof pg.DatabaseError &&
    error.code === '23505' &&
    (constraint === undefined || error.constraint === constraint)
  );
}

/**
 * `database_unavailable` for a server that is away, everything else unchanged. `sql` is looked at only to
 * tell a lost COMMIT, whose outcome nobody knows (`details.commitUnknown`).
 */
export function translate(error: unknown, sql: string): unknown {
  if (error instanceof AviaryError || !isAway(error)) return error;
  const commitUnknown = sql === 'commit';
  return new AviaryError(
    'database_unavailable',
    commitUnknown
      ? 'the connection to PostgreSQL was lost during a commit: look whether the change was made'
      : 'PostgreSQL does not answer; try again shortly',
    { cause: error, ...(commitUnknown ? { details: { commitUnknown } } : {}) },
  );
}

/** What a query gets while the server is known to be away. */
export function unavailable(cause?: unknown): AviaryError {
  return new AviaryError('database_unavailable', 'PostgreSQL does not answer; try again shortly', { cause });
}
