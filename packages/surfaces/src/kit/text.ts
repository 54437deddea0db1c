/** Checks on text that comes from outside, one parser per kind. For all surfaces. */
import { invalidField } from '@aviary/kernel';

const NUL = '\u0000';
/** No declared body is deeper than 4. */
const MAX_DEPTH = 32;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Refuses NUL bytes and lone surrogates anywhere in a JSON value: neither argv, file names nor PostgreSQL can
 * hold them. Nesting is bounded, because it may be in a field that nobody declared. Errors: invalid_request naming the field.
 */
export function refuseUnstorable(value: unknown, field = '', depth = 0): void {
  if (depth > MAX_DEPTH) throw invalidField(field.slice(0, 100), 'is nested too deeply');
  if (typeof value === 'string') {
    if (value.includes(NUL)) throw invalidField(field || 'body', 'must not contain a NUL byte');
    if (LONE_SURROGATE.test(value)) throw invalidField(field || 'body', 'is not valid Unicode');
  } else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) refuseUnstorable(value[i], `${field}[${i}]`, depth + 1);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const path = field === '' ? key : `${field}.${key}`;
      if (key.includes(NUL)) throw invalidField(field || 'body', 'has a key with a NUL byte');
      refuseUnstorable(inner, path, depth + 1);
    }
  }
}

/** True when `text` holds a C0 or C1 control character or DEL. */
export function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return true;
  }
  return false;
}

/** A single-line name from outside (path parameter, tag, user name). Errors: invalid_request. */
export function singleLine(field: string, text: string, maxLength = 256): string {
  if (text.length === 0) throw invalidField(field, 'must not be empty');
  if (text.length > maxLength) throw invalidField(field, `must not be longer than ${maxLength} characters`);
  if (hasControls(text)) throw invalidField(field, 'must not contain control characters');
  return text;
}

/**
 * A path inside a capsule: any bytes but NUL, at most 4096 (Linux PATH_MAX). Newlines are legal in Linux file
 * names and stay so. Errors: invalid_request.
 */
export function guestPath(field: string, text: string): string {
  if (text.length === 0) throw invalidField(field, 'must not be empty');
  if (text.includes(NUL)) throw invalidField(field, 'must not contain a NUL byte');
  if (Buffer.byteLength(text) > 4096) throw invalidField(field, 'must not be longer than 4096 bytes');
  return text;
}
