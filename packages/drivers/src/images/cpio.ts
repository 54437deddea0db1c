/**
 * Writes cpio archives of the "new ASCII" kind, the form of a Linux initramfs. Image builder only.
 * Source of the format: Linux Documentation/driver-api/early-userspace/buffer-format.rst and cpio(5), "newc".
 */

/** One member. Names are relative to the root, without a leading slash; parents come before children. */
export type CpioEntry =
  | { type: 'file'; name: string; mode: number; data: Uint8Array }
  | { type: 'directory'; name: string; mode: number }
  | { type: 'character-device'; name: string; mode: number; major: number; minor: number };

/** File type bits of st_mode (inode(7)). */
const TYPE_BITS = { file: 0o100000, directory: 0o040000, 'character-device': 0o020000 } as const;

/** The archive as one buffer. Everything belongs to root and has time 0: same input, same bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => {
    if (entry.name === '' || entry.name.startsWith('/') || entry.name.includes('\0')) {
      throw new RangeError(`not a name for an archive member: ${JSON.stringify(entry.name)}`);
    }
    const data = entry.type === 'file' ? entry.data : new Uint8Array();
    const device = entry.type === 'character-device' ? entry : { major: 0, minor: 0 };
    parts.push(header(index + 1, TYPE_BITS[entry.type] | entry.mode, entry.name, data.length, device));
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.length), padding(data.length));
  });
  parts.push(header(0, 0, 'TRAILER!!!', 0, { major: 0, minor: 0 }));
  return Buffer.concat(parts);
}

/** Magic, 13 fields of 8 hex digits, name, NUL, padding: header and name together are a multiple of 4. */
function header(
  inode: number,
  mode: number,
  name: string,
  size: number,
  device: { major: number; minor: number },
): Buffer {
  const nameBytes = Buffer.from(`${name}\0`, 'utf8');
  const links = mode >> 12 === 0o4 ? 2 : 1;
  const fields = [
    inode,
    mode,
    0, // uid
    0, // gid
    links,
    0, // mtime
    size,
    0, // major of the file system
    0, // minor of it
    device.major,
    device.minor,
    nameBytes.length,
    0, // checksum: only "crc" archives use it
  ];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([Buffer.from(text, 'latin1'), nameBytes, padding(text.length + nameBytes.length)]);
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
