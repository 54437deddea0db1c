/** The native programs: prebuilt ones are of these sources and run; page files are checked before they are used. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultCacheDir } from '../images/index.ts';
import { run } from '../process/index.ts';
import { ensureProgram, PROGRAMS, type ProgramName, prebuiltPath } from './index.ts';

const exec = promisify(execFile);
const PAGE = 4096;

let dir: string;
let tool: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aviary-native-'));
  tool = await ensureProgram('aviary-host', defaultCacheDir());
});
afterAll(() => rm(dir, { recursive: true }));

test.each(Object.keys(PROGRAMS) as ProgramName[])(
  'the prebuilt %s is of these very sources',
  async (name) => {
    const program = gunzipSync(await readFile(await prebuiltPath(name)));
    expect(program.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
  },
);

test('the prebuilt tool runs', async () => {
  const path = join(dir, 'prebuilt');
  await writeFile(path, gunzipSync(await readFile(await prebuiltPath('aviary-host'))));
  await chmod(path, 0o755);
  await expect(exec(path, [])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('usage: aviary-host'),
  });
});

describe('page files', () => {
  /** A file as native/pages.c describes it. */
  const pageFile = (
    pages: number,
    runs: [first: number, count: number, fill: number | null][],
    declared = runs.length,
  ) => {
    const head = Buffer.alloc(16);
    head.write('AVPAGES1', 'latin1');
    head.writeBigUInt64LE(BigInt(pages), 8);
    const parts = runs.map(([first, count, fill]) => {
      const header = Buffer.alloc(8);
      header.writeUInt32LE(first, 0);
      header.writeUInt32LE(fill === null ? (count | 0x80000000) >>> 0 : count, 4);
      return fill === null ? header : Buffer.concat([header, Buffer.alloc(count * PAGE, fill)]);
    });
    const tail = Buffer.alloc(8);
    tail.writeUInt32LE(0xffffffff, 0);
    tail.writeUInt32LE(declared, 4);
    return Buffer.concat([head, ...parts, tail]);
  };
  const apply = async (content: Buffer) => {
    await writeFile(join(dir, 'pages'), content);
    await run(tool, ['pages-apply', join(dir, 'base'), join(dir, 'pages'), join(dir, 'out')]);
    return readFile(join(dir, 'out'));
  };

  beforeAll(async () => {
    await writeFile(join(dir, 'base'), Buffer.alloc(3 * PAGE, 7));
    await truncate(join(dir, 'base'), 600 * PAGE);
  });

  test('are applied to a copy: data, zeros, and the rest as it was', async () => {
    const out = await apply(
      pageFile(600, [
        [1, 1, 9],
        [2, 1, null],
        [100, 300, 5],
      ]),
    );
    expect(out.length).toBe(600 * PAGE);
    const fills = [0, 1, 2, 3, 99, 100, 399, 400].map((page) => out[page * PAGE + 17]);
    expect(fills).toEqual([7, 9, 0, 0, 0, 5, 5, 0]);
  });

  const whole = pageFile(600, [[1, 1, 9]]);
  test.each([
    ['of another memory', pageFile(601, [[1, 1, 9]])],
    ['that end early', whole.subarray(0, whole.length - 9)],
    ['without their end', whole.subarray(0, whole.length - 8)],
    ['with another number of runs', pageFile(600, [[1, 1, 9]], 2)],
    ['that reach beyond the memory', pageFile(600, [[599, 2, 9]])],
    ['with bytes behind their end', Buffer.concat([whole, Buffer.alloc(8)])],
    ['of another kind', Buffer.concat([Buffer.from('NOTPAGES'), whole.subarray(8)])],
    ['that are empty', Buffer.alloc(0)],
  ])('are refused when they are those %s', async (_what, content) => {
    await expect(apply(Buffer.from(content))).rejects.toMatchObject({ code: 'internal' });
  });
});
