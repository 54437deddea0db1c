/** Output bytes for JSON messages: text while it is UTF-8, base64 when not. Used by the streaming routes. */
import { isUtf8 } from 'node:buffer';

/** `encoding` is absent for text. */
export interface Piece {
  data: string;
  encoding?: 'base64';
}

/**
 * How many bytes at the end of `bytes` are the start of a UTF-8 sequence that goes on after it (0-3);
 * see RFC 3629 section 3 for the lead bytes.
 */
export function incompleteTail(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 ? 2 : 1;
    return byte < 0xf8 && length > back ? back : 0;
  }
  return 0;
}

/** Cuts a stream into pieces, holding back a sequence that a chunk boundary splits. One per stream. */
export function createUtf8Splitter(): { push(chunk: Uint8Array): Piece | null; end(): Piece | null } {
  let held: Buffer = Buffer.alloc(0);
  const encode = (bytes: Buffer): Piece | null => {
    if (bytes.length === 0) return null;
    return isUtf8(bytes)
      ? { data: bytes.toString('utf8') }
      : { data: bytes.toString('base64'), encoding: 'base64' };
  };
  return {
    push(chunk) {
      const all = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
      const whole = all.subarray(0, all.length - incompleteTail(all));
      if (!isUtf8(whole)) {
        held = Buffer.alloc(0);
        return encode(all);
      }
      held = all.subarray(whole.length);
      return encode(whole);
    },
    end() {
      const rest = held;
      held = Buffer.alloc(0);
      return encode(rest);
    },
  };
}
