/** Every failure of the house as the wrenn contract's status, code and body. Used by this surface only. */
import type { ErrorTable, WireError } from '../kit/index.ts';

/** Codes as the contract's peers use them; where they have none the closest of theirs, or our own word. */
export const errors: ErrorTable = {
  invalid_request: { status: 400, code: 'invalid_request' },
  too_large: { status: 413, code: 'too_large' },
  rate_limited: { status: 429, code: 'rate_limited' },
  not_found: { status: 404, code: 'not_found' },
  method_not_allowed: { status: 405, code: 'method_not_allowed' },
  misdirected: { status: 421, code: 'misdirected' },
  upgrade_required: { status: 426, code: 'upgrade_required' },

  unauthorized: { status: 401, code: 'unauthorized' },
  invalid_credentials: { status: 401, code: 'unauthorized' },
  forbidden: { status: 403, code: 'forbidden' },
  email_taken: { status: 409, code: 'conflict' },
  username_taken: { status: 409, code: 'conflict' },
  // the contract documents 400 "User is already a member"
  already_member: { status: 400, code: 'invalid_request' },

  capsule_not_found: { status: 404, code: 'not_found' },
  capsule_not_running: { status: 409, code: 'invalid_state' },
  capsule_not_paused: { status: 409, code: 'invalid_state' },
  capsule_busy: { status: 409, code: 'invalid_state' },
  template_not_found: { status: 404, code: 'not_found' },
  template_name_taken: { status: 409, code: 'template_name_taken' },
  name_reserved: { status: 409, code: 'name_reserved' },
  capacity_exceeded: { status: 503, code: 'no_hosts_available' },
  capsule_lost: { status: 502, code: 'agent_error' },
  host_failed: { status: 502, code: 'agent_error' },

  process_not_found: { status: 404, code: 'not_found' },
  process_tag_taken: { status: 409, code: 'conflict' },
  exec_failed: { status: 400, code: 'invalid_request' },
  file_not_found: { status: 404, code: 'not_found' },
  file_exists: { status: 409, code: 'conflict' },
  not_a_directory: { status: 400, code: 'invalid_request' },
  is_a_directory: { status: 400, code: 'invalid_request' },
  permission_denied: { status: 403, code: 'forbidden' },
  // RFC 4918 section 11.5
  no_space: { status: 507, code: 'no_space' },

  host_unavailable: { status: 503, code: 'host_unavailable' },
  missing_dependency: { status: 503, code: 'host_unavailable' },
  database_unavailable: { status: 503, code: 'database_unavailable' },
  shutting_down: { status: 503, code: 'shutting_down' },
  conflict: { status: 409, code: 'conflict' },
  timeout: { status: 504, code: 'timeout' },
  internal: { status: 500, code: 'internal_error' },
};

/** The contract's error envelope. */
export function renderError({ code, message }: WireError): { error: { code: string; message: string } } {
  return { error: { code, message } };
}

/** The contract's WebSocket error message; `code` is ours. */
export function renderSocketError({ code, message }: WireError): object {
  return { type: 'error', data: message, code, fatal: true };
}
