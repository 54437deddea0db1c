/** The file calls of Guest over the bulk port. guest-link only. */
import { type AviaryError, invalidField } from '@aviary/kernel';
import type { Guest, GuestFile } from '@aviary/protocol';
import type { Connection } from './connection.ts';
import { DOWNLOAD_WINDOW, download } from './download.ts';
import { decodeEntries, decodeFile } from './entries.ts';
import { encodeFields } from './fields.ts';
import { upload } from './upload.ts';
import { F, T } from './wire.ts';

type Files = Pick<Guest, 'readFile' | 'writeFile' | 'stat' | 'list' | 'mkdir' | 'remove' | 'move'>;

function refused(path: string, field = 'path'): AviaryError | null {
  if (path === '') return invalidField(field, 'must not be empty');
  if (path.includes('\0')) return invalidField(field, 'must not contain a NUL byte');
  return null;
}

function check(path: string, field?: string): string {
  const error = refused(path, field);
  if (error) throw error;
  return path;
}

/** File calls over `bulk`. */
export function createFiles(bulk: Connection): Files {
  const one = async (what: string, type: number, path: string): Promise<GuestFile> =>
    decodeFile(await bulk.request(`${what} ${path}`, type, encodeFields([[F.PATH, check(path)]])));

  return {
    readFile: async (path, range = {}) => {
      const fields = encodeFields([
        [F.PATH, check(path)],
        [F.OFFSET, range.offset],
        [F.LENGTH, range.length],
        [F.WINDOW, DOWNLOAD_WINDOW],
      ]);
      const { reply, body } = await download(bulk, `reading ${path}`, T.READ, fields);
      return { file: decodeFile(reply), body };
    },
    writeFile: async (path, body, options = {}) => {
      const fields = encodeFields([
        [F.PATH, check(path)],
        [F.MODE, options.mode],
        [F.USER, options.user],
      ]);
      return decodeFile(await upload(bulk, `writing ${path}`, T.WRITE, fields, body));
    },
    stat: (path) => one('looking at', T.STAT, path),
    list: async (path, depth) => {
      const fields = encodeFields([
        [F.PATH, check(path)],
        [F.DEPTH, Math.max(1, depth)],
        [F.WINDOW, DOWNLOAD_WINDOW],
      ]);
      const { body } = await download(bulk, `listing ${path}`, T.LIST, fields);
      const parts: Buffer[] = [];
      for await (const part of body) parts.push(part as Buffer);
      return decodeEntries(Buffer.concat(parts)).sort((a, b) =>
        a.path < b.path ? -1 : a.path > b.path ? 1 : 0,
      );
    },
    mkdir: (path) => one('making', T.MKDIR, path),
    remove: async (path) => {
      await bulk.request(`removing ${path}`, T.REMOVE, encodeFields([[F.PATH, check(path)]]));
    },
    move: async (from, to) => {
      const fields = encodeFields([
        [F.PATH, check(from, 'from')],
        [F.TARGET, check(to, 'to')],
      ]);
      return decodeFile(await bulk.request(`moving ${from}`, T.MOVE, fields));
    },
  };
}
