/** Identifiers: a prefix that says the kind and 25 characters of base36 (a 128-bit random number). */
import { randomBytes } from 'node:crypto';

/** Prefix of each kind of object, as the wrenn contract's peers use them. */
export const ID_PREFIXES = {
  capsule: 'cl',
  account: 'usr',
  team: 'team',
  apiKey: 'key',
  host: 'host',
  channel: 'ch',
  template: 'tpl',
  operation: 'op',
  event: 'evt',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

/** Source of randomness: `size` random bytes. */
export type RandomBytes = (size: number) => Buffer;

/** A new id such as `cl-3f0…` (25 characters after the dash). */
export function newId(kind: IdKind, random: RandomBytes = randomBytes): string {
  const digits = BigInt(`0x${random(16).toString('hex')}`)
    .toString(36)
    .padStart(25, '0');
  return `${ID_PREFIXES[kind]}-${digits}`;
}

/** True when `text` has the form of an id of that kind. */
export function isId(kind: IdKind, text: string): boolean {
  return new RegExp(`^${ID_PREFIXES[kind]}-[0-9a-z]{25}$`).test(text);
}

/** `length` random characters of a-z0-9 without bias, for keys and passwords. */
export function randomToken(length: number, random: RandomBytes = randomBytes): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  let text = '';
  while (text.length < length) {
    for (const byte of random(length)) {
      if (byte < 252 && text.length < length) text += alphabet[byte % 36];
    }
  }
  return text;
}

/** `bytes` random bytes as lower-case hex (tags, slugs, registration tokens). */
export function randomHex(bytes: number, random: RandomBytes = randomBytes): string {
  return random(bytes).toString('hex');
}
