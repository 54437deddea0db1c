/** One parser per field that people type. Each throws `invalid_request` with the field named. Pure. */
import { invalidField } from '@aviary/kernel';

const BAD_TEXT = /\p{Cc}/u;

function text(field: string, value: unknown, min: number, max: number): string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a string');
  if (value.length < min)
    throw invalidField(field, min === 1 ? 'must not be empty' : `at least ${min} characters`);
  if (value.length > max) throw invalidField(field, `at most ${max} characters`);
  return value;
}

/** An e-mail address: one `@`, 1-64 characters before it, host labels after it (RFC 5321 4.5.3.1 lengths). */
export function parseEmail(value: unknown, field = 'email'): string {
  const email = text(field, value, 3, 254);
  const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
  const form = new RegExp(`^[^\\s@\\u0000-\\u001f\\u007f"(),:;<>\\[\\]\\\\]{1,64}@${label}(?:\\.${label})*$`);
  if (!form.test(email)) throw invalidField(field, 'is not an e-mail address');
  return email;
}

/** The beginning of an e-mail address, with its `@`. */
export function parseEmailPrefix(value: unknown): string {
  const prefix = text('email', value, 2, 254);
  if (!prefix.includes('@')) throw invalidField('email', 'must contain "@"');
  return prefix;
}

/** A new password: 8 characters at least, 1,024 at most. */
export function parsePassword(value: unknown, field = 'password'): string {
  return text(field, value, 8, 1024);
}

/** A password to be checked: whatever was stored may have been set under other rules. */
export function parseSecret(value: unknown, field = 'password'): string {
  return text(field, value, 0, 1024);
}

/** A person's shown name: 1-100 characters. */
export function parseName(value: unknown): string {
  const name = text('name', value, 1, 100);
  if (name.trim() === '' || BAD_TEXT.test(name)) throw invalidField('name', 'must be printable text');
  return name;
}

/** 3-32 of a-z A-Z 0-9 . _ -, starting with a letter or digit. */
export function parseUsername(value: unknown): string {
  const name = text('username', value, 3, 32);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw invalidField('username', 'use letters, digits, . _ -, and start with a letter or digit');
  }
  return name;
}

/** 1-128 of A-Z a-z 0-9 space _ (contract). Not only spaces. */
export function parseTeamName(value: unknown): string {
  const name = text('name', value, 1, 128);
  if (!/^[A-Za-z0-9 _]+$/.test(name) || name.trim() === '') {
    throw invalidField('name', 'use letters, digits, spaces and _');
  }
  return name;
}

/** A key's name: 1-100 characters; absent or empty is the contract's default. */
export function parseKeyName(value: unknown): string {
  if (value === undefined || value === '') return 'Unnamed API Key';
  const name = text('name', value, 1, 100);
  if (BAD_TEXT.test(name)) throw invalidField('name', 'must be printable text');
  return name;
}

/** A user name made of an e-mail address's local part; may be taken. */
export function usernameFrom(email: string): string {
  const local = (email.split('@')[0] ?? '').replace(/[^A-Za-z0-9._-]/g, '').replace(/^[^A-Za-z0-9]+/, '');
  return (local.length < 3 ? `user${local}` : local).slice(0, 24);
}

/** Name of the team every account gets. */
export function personalTeamName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9 _]/g, '').trim();
  return plain === '' ? 'Personal team' : `${plain.slice(0, 100)} team`;
}

/** What is unique and looked up, whatever its case. */
export function foldCase(value: string): string {
  return value.normalize('NFKC').toLowerCase();
}
