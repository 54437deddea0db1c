/** Requests and replies as fields: u32 word (tag | length << 8), then the value. Pure; guest-link only. */

/** A value of a field: text, a number (8 bytes on the wire), a flag, or bytes. */
export type FieldValue = string | number | bigint | boolean | Uint8Array;

/** Fields in order; undefined values are left out. */
export function encodeFields(
  fields: readonly (readonly [tag: number, value: FieldValue | undefined])[],
): Buffer {
  const parts: Uint8Array[] = [];
  for (const [tag, value] of fields) {
    if (value === undefined) continue;
    const bytes = toBytes(value);
    const word = Buffer.allocUnsafe(4);
    word.writeUInt32LE((tag | (bytes.length << 8)) >>> 0, 0);
    parts.push(word, bytes);
  }
  return Buffer.concat(parts);
}

function toBytes(value: FieldValue): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return value;
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), 0);
  return bytes;
}

/** Calls `each` for every field; stops silently at a malformed one (the guest is not trusted). */
export function eachField(data: Buffer, each: (tag: number, value: Buffer) => void): void {
  for (let at = 0; data.length - at >= 4; ) {
    const word = data.readUInt32LE(at);
    const length = word >>> 8;
    if (length > data.length - at - 4) return;
    each(word & 0xff, data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
}

/** The last value per tag. */
export function decodeFields(data: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>();
  eachField(data, (tag, value) => fields.set(tag, value));
  return fields;
}

/** A number field; 0 when absent. Beyond 2^53 precision is lost, which no field needs. */
export function numberOf(value: Buffer | undefined): number {
  return value && value.length >= 8 ? Number(value.readBigInt64LE(0)) : 0;
}

/** A text field; bytes that are not UTF-8 become U+FFFD. */
export function textOf(value: Buffer | undefined): string {
  return value ? value.toString('utf8') : '';
}
