/**
 * Makes the prebuilt programs that come with the sources, for machines without a compiler; run it after every
 * change in packages/drivers/native: `npm run prebuilt`. A test fails when they are not of these sources.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compile, PROGRAMS, type ProgramName, prebuiltPath } from './index.ts';

const dir = await mkdtemp(join(tmpdir(), 'aviary-prebuild-'));
const wanted: string[] = [];
for (const name of Object.keys(PROGRAMS) as ProgramName[]) {
  await compile(name, join(dir, name));
  const target = await prebuiltPath(name);
  wanted.push(target);
  await mkdir(dirname(target), { recursive: true });
  const packed = gzipSync(await readFile(join(dir, name)), { level: 9 });
  await writeFile(target, packed);
  console.log(`${target}: ${packed.length} bytes`);
}
for (const file of await readdir(dirname(wanted[0]!))) {
  const path = join(dirname(wanted[0]!), file);
  if (!wanted.includes(path)) await rm(path);
}
await rm(dir, { recursive: true });
