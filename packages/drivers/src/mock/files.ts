/** The mock's file system: a tree in memory that answers as a Linux one does. Used by the mock guest only. */
import { Readable } from 'node:stream';
import { AviaryError, type Clock, invalidField } from '@aviary/kernel';
import type { GuestFile } from '@aviary/protocol';

interface Node {
  type: 'file' | 'directory' | 'symlink';
  data: Buffer;
  mode: number;
  owner: string;
  modifiedAt: number;
  target: string | null;
}

export interface MockFiles {
  resolve(path: string, cwd?: string): string;
  stat(path: string): GuestFile;
  read(path: string, range?: { offset?: number; length?: number }): { file: GuestFile; body: Readable };
  bytes(path: string): Buffer;
  write(path: string, data: Buffer, mode?: number): GuestFile;
  list(path: string, depth: number): GuestFile[];
  mkdir(path: string): GuestFile;
  remove(path: string): void;
  move(from: string, to: string): GuestFile;
  usedBytes(): number;
  clone(): MockFiles;
}

/** Paths that `remove` refuses, as the real agent does. */
const PROTECTED = new Set(['/', '/bin', '/dev', '/etc', '/proc', '/root', '/sys', '/tmp', '/usr', '/var']);

/** A root with the usual directories; `capacity` bytes of file content. */
export function createMockFiles(
  owner: string,
  clock: Clock,
  capacity = 1024 ** 3,
  nodes = new Map<string, Node>(),
): MockFiles {
  const now = () => Math.floor(clock.now().getTime() / 1000);
  const home = owner === 'root' ? '/root' : `/home/${owner}`;
  const directory = (): Node => ({
    type: 'directory',
    data: Buffer.alloc(0),
    mode: 0o755,
    owner,
    modifiedAt: now(),
    target: null,
  });
  if (nodes.size === 0) {
    for (const path of [...PROTECTED, home]) nodes.set(path, directory());
    if (home.startsWith('/home/')) nodes.set('/home', directory());
    nodes.set('/bin/sh', { ...directory(), type: 'file', mode: 0o755 });
  }

  const resolve = (path: string, cwd = home): string => {
    if (path === '' || path.includes('\0')) throw invalidField('path', 'is empty or holds a NUL byte');
    const expanded = path === '~' || path.startsWith('~/') ? home + path.slice(1) : path;
    const parts: string[] = [];
    for (const part of (expanded.startsWith('/') ? expanded : `${cwd}/${expanded}`).split('/')) {
      if (part === '..') parts.pop();
      else if (part !== '' && part !== '.') parts.push(part);
    }
    return `/${parts.join('/')}`;
  };
  const get = (path: string): Node => {
    const node = nodes.get(path);
    if (node !== undefined) return node;
    const parent = nodes.get(parentOf(path));
    if (parent !== undefined && parent.type !== 'directory') {
      throw new AviaryError('not_a_directory', `${parentOf(path)} is not a directory`);
    }
    throw new AviaryError('file_not_found', `${path}: no such file or directory`);
  };
  const describe = (path: string, node: Node): GuestFile => ({
    name: path.slice(path.lastIndexOf('/') + 1) || '/',
    path,
    type: node.type,
    size: node.type === 'directory' ? 4096 : node.data.length,
    mode: node.mode,
    owner: node.owner,
    group: node.owner,
    modifiedAt: node.modifiedAt,
    symlinkTarget: node.target,
  });
  const makeParents = (path: string) => {
    const parent = parentOf(path);
    const node = nodes.get(parent);
    if (node === undefined) {
      makeParents(parent);
      nodes.set(parent, directory());
    } else if (node.type !== 'directory') {
      throw new AviaryError('not_a_directory', `${parent} is not a directory`);
    }
  };
  const regular = (path: string): Node => {
    const node = get(path);
    if (node.type === 'directory') throw new AviaryError('is_a_directory', `${path} is a directory`);
    return node;
  };
  const used = () => [...nodes.values()].reduce((sum, node) => sum + node.data.length, 0);

  return {
    resolve,
    stat: (path) => describe(resolve(path), get(resolve(path))),
    bytes: (path) => regular(resolve(path)).data,
    read: (path, { offset = 0, length } = {}) => {
      const at = resolve(path);
      const node = regular(at);
      const end = length === undefined ? node.data.length : offset + length;
      const pieces = chunked(node.data.subarray(offset, end));
      return { file: describe(at, node), body: Readable.from(pieces, { objectMode: false }) };
    },
    write: (path, data, mode = 0o644) => {
      const at = resolve(path);
      if (nodes.get(at)?.type === 'directory')
        throw new AviaryError('is_a_directory', `${at} is a directory`);
      const before = nodes.get(at)?.data.length ?? 0;
      if (used() - before + data.length > capacity) throw new AviaryError('no_space', 'the disk is full');
      makeParents(at);
      const node: Node = { type: 'file', data, mode, owner, modifiedAt: now(), target: null };
      nodes.set(at, node);
      return describe(at, node);
    },
    list: (path, depth) => {
      const at = resolve(path);
      if (get(at).type !== 'directory') throw new AviaryError('not_a_directory', `${at} is not a directory`);
      const prefix = at === '/' ? '/' : `${at}/`;
      return [...nodes]
        .filter(([p]) => p.startsWith(prefix) && p !== at)
        .filter(([p]) => p.slice(prefix.length).split('/').length <= Math.max(1, depth))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([p, node]) => describe(p, node));
    },
    mkdir: (path) => {
      const at = resolve(path);
      if (nodes.has(at)) throw new AviaryError('file_exists', `${at} exists already`);
      makeParents(at);
      nodes.set(at, directory());
      return describe(at, get(at));
    },
    remove: (path) => {
      const at = resolve(path);
      if (PROTECTED.has(at)) throw new AviaryError('permission_denied', `${at} belongs to the system`);
      get(at);
      for (const p of [...nodes.keys()]) if (p === at || p.startsWith(`${at}/`)) nodes.delete(p);
    },
    move: (from, to) => {
      const source = resolve(from);
      const target = resolve(to);
      get(source);
      if (target.startsWith(`${source}/`)) throw invalidField('to', 'is inside of what is moved');
      makeParents(target);
      for (const [p, node] of [...nodes]) {
        if (p !== source && !p.startsWith(`${source}/`)) continue;
        nodes.delete(p);
        nodes.set(target + p.slice(source.length), node);
      }
      return describe(target, get(target));
    },
    usedBytes: used,
    clone: () =>
      createMockFiles(owner, clock, capacity, new Map([...nodes].map(([path, node]) => [path, { ...node }]))),
  };
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function chunked(data: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < data.length; at += 65536) pieces.push(data.subarray(at, at + 65536));
  return pieces;
}
