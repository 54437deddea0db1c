/** One parser per field of an order. Each throws `invalid_request` with the field and its bounds. Pure. */
import { AviaryError, invalidField } from '@aviary/kernel';
import { BASE_TEMPLATES, BOUNDS, TEMPLATE_NAME } from './model.ts';

type Bounded = keyof typeof BOUNDS;

/** Names of the fields as people write them. */
const WRITTEN: Record<Bounded, string> = {
  vcpus: 'vcpus',
  memoryMb: 'memory_mb',
  diskMb: 'disk_mb',
  timeoutSec: 'timeout_sec',
  forkCount: 'count',
};

/** A whole number within its bounds. */
export function parseNumber(field: Bounded, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const { min, max } = BOUNDS[field];
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalidField(WRITTEN[field], `must be a whole number from ${min} to ${max}`);
}

/** A name of a template, existing or new. */
export function parseTemplateName(field: string, value: string): string {
  if (TEMPLATE_NAME.test(value)) return value;
  throw invalidField(field, 'use 1-64 letters, digits, . _ -, starting with a letter or digit');
}

/** A name for a new snapshot. Errors: name_reserved for built-in names. */
export function parseSnapshotName(value: string): string {
  const name = parseTemplateName('name', value);
  if ((BASE_TEMPLATES as readonly string[]).includes(name)) {
    throw new AviaryError('name_reserved', `${name} is a built-in template; choose another name`);
  }
  return name;
}

/** A user name inside a capsule (useradd's rule). */
export function parseUser(value: string): string {
  if (/^[a-z_][a-z0-9_-]{0,31}$/.test(value)) return value;
  throw invalidField('user', 'use up to 32 of a-z 0-9 _ -, starting with a letter or _');
}

/** Environment variables: names without `=` and NUL, 128 at most, 64 KiB together. */
export function parseEnvs(envs: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const pairs = Object.entries(envs);
  if (pairs.length > 128) throw invalidField('envs', 'at most 128 variables');
  let size = 0;
  for (const [name, value] of pairs) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name)) {
      throw invalidField('envs', `${JSON.stringify(name.slice(0, 40))} is no name of a variable`);
    }
    if (value.includes('\0')) throw invalidField('envs', `${name} holds a NUL byte`);
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (size > 65536) throw invalidField('envs', 'at most 64 KiB together');
  return envs;
}

/** Labels: 32 at most, names up to 64 and values up to 256 characters, no control characters. */
export function parseMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const pairs = Object.entries(metadata);
  if (pairs.length > 32) throw invalidField('metadata', 'at most 32 pairs');
  for (const [name, value] of pairs) {
    if (name.length < 1 || name.length > 64) throw invalidField('metadata', 'names have 1-64 characters');
    if (value.length > 256) throw invalidField('metadata', `${name}: values have at most 256 characters`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
    if (/[\u0000-\u001f\u007f]/.test(name + value)) throw invalidField('metadata', 'no control characters');
  }
  return metadata;
}
