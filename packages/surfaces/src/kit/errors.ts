/** From the house's error codes to what a surface puts on the wire. Used by every surface's `errors.ts`. */
import { AviaryError, type ErrorCode, toAviaryError } from '@aviary/kernel';

/** Status and code on the wire for each of our codes; exhaustive, so a new code does not compile until mapped. */
export type ErrorTable = Readonly<Record<ErrorCode, { status: number; code: string }>>;

/** An error ready to be rendered by a surface's own body format. */
export interface WireError {
  status: number;
  code: string;
  message: string;
  /** Whole seconds for `Retry-After`; null when retrying later does not help. */
  retryAfterSec: number | null;
  error: AviaryError;
}

/** Statuses that carry `Retry-After`, with the seconds used when the error names none. */
const RETRY_AFTER: Readonly<Record<number, number>> = { 429: 1, 503: 1 };

/**
 * Whatever was thrown, as status, code and sentence. The sentence of `internal` never leaves the process:
 * the caller gets the request id to quote instead.
 */
export function toWireError(thrown: unknown, table: ErrorTable, requestId: string): WireError {
  const error = fromFramework(thrown) ?? toAviaryError(thrown);
  const { status, code } = table[error.code];
  const asked = error.details['retryAfterSec'];
  const fallback = RETRY_AFTER[status];
  return {
    status,
    code,
    message: error.code === 'internal' ? `internal error; the request id is ${requestId}` : error.message,
    retryAfterSec:
      fallback === undefined ? null : typeof asked === 'number' ? Math.max(1, Math.ceil(asked)) : fallback,
    error,
  };
}

/** Fastify's and multipart's own refusals in our vocabulary; null for everything else. */
function fromFramework(thrown: unknown): AviaryError | null {
  if (!(thrown instanceof Error) || thrown instanceof AviaryError) return null;
  const { code, statusCode } = thrown as Error & { code?: string; statusCode?: number };
  if (statusCode === 413) {
    return new AviaryError('too_large', 'the request body is over the limit of this route', {
      cause: thrown,
    });
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_INVALID_MULTIPART_CONTENT_TYPE') {
    return new AviaryError('invalid_request', 'the content type is not one this route understands', {
      cause: thrown,
    });
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new AviaryError('invalid_request', thrown.message, { cause: thrown });
  }
  return null;
}
