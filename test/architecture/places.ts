/** Where a path is in the house: its room, and its part of the room. For the architecture test only. */

/** Names of rooms: packages by their name, apps by theirs, the other roots as they are. */
export type Room = string;

/** `packages/domain/src/capsules/store.ts` is in room `domain`, part `capsules`. */
export interface Place {
  room: Room;
  /** Folder below the room's src, or '' for files directly in it. */
  part: string;
}

/** The place of a path of the repository. */
export function placeOf(path: string): Place {
  const [root = '', name = '', src = '', part = '', ...below] = path.split('/');
  if (root !== 'packages' && root !== 'apps') return { room: root, part: '' };
  const inFolder = src === 'src' && below.length > 0;
  return { room: name, part: inFolder ? part : '' };
}

/** A file of tests, or one that only tests use. */
export function isForTests(path: string): boolean {
  return /\.test\.tsx?$/.test(path) || path.startsWith('test/') || isTesting(path);
}

/** Help for tests that a room offers to others: testing.ts or a folder testing/. */
export function isTesting(path: string): boolean {
  return /(^|\/)(testing|conformance)(\.ts$|\/)/.test(path);
}
