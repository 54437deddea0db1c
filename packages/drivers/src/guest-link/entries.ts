/** File records of the guest as GuestFile. Pure; guest-link only. Layout: guest/PROTOCOL.md, "file record". */
import type { GuestFile } from '@aviary/protocol';
import { capsuleLost } from './failures.ts';
import { eachField } from './fields.ts';
import { F } from './wire.ts';

const FIXED = 32;
const TYPES: Readonly<Record<string, GuestFile['type']>> = { f: 'file', d: 'directory', l: 'symlink' };

function decodeEntry(data: Buffer): GuestFile | null {
  if (data.length < FIXED) return null;
  const owner = data.readUInt16LE(2);
  const group = data.readUInt16LE(4);
  const target = data.readUInt16LE(6);
  const path = data.readUInt32LE(8);
  if (FIXED + path + owner + group + target !== data.length) return null;
  let at = FIXED;
  const text = (length: number) => {
    at += length;
    return data.toString('utf8', at - length, at);
  };
  const full = text(path);
  const type = TYPES[String.fromCharCode(data[0]!)] ?? 'other';
  return {
    name: full === '/' ? '/' : full.slice(full.lastIndexOf('/') + 1),
    path: full,
    type,
    size: Number(data.readBigUInt64LE(16)),
    mode: data.readUInt32LE(12),
    modifiedAt: Number(data.readBigInt64LE(24)),
    owner: text(owner),
    group: text(group),
    symlinkTarget: type === 'symlink' ? text(target) : null,
  };
}

/** All file records among the fields of `data`, in the guest's order. */
export function decodeEntries(data: Buffer): GuestFile[] {
  const files: GuestFile[] = [];
  eachField(data, (tag, value) => {
    const file = tag === F.FILE ? decodeEntry(value) : null;
    if (file) files.push(file);
  });
  return files;
}

/** The one file record of a reply. */
export function decodeFile(data: Buffer): GuestFile {
  const file = decodeEntries(data)[0];
  if (!file) throw capsuleLost('its agent answered without the file record');
  return file;
}
