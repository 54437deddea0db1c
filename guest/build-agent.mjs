/**
 * Makes the guest agent's binary: compiled when gcc is there, else the committed prebuilt one, unpacked.
 * Used by start and test scripts and by the image store's callers; run by hand it refreshes the prebuilt one:
 *   node guest/build-agent.mjs --prebuilt     node guest/build-agent.mjs PATH
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL('./src/', import.meta.url));
const PREBUILT = fileURLToPath(new URL('./prebuilt/agent-x86_64.gz', import.meta.url));
const RECORDED = fileURLToPath(new URL('./prebuilt/agent-x86_64.source', import.meta.url));

export const CFLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Os', '-static', '-s', '-pthread'];

/** The C files, sorted, as absolute paths; headers too when `all`. */
async function sources(all) {
  const names = (await readdir(SOURCES)).filter(
    (name) => name.endsWith('.c') || (all && name.endsWith('.h')),
  );
  return names.sort().map((name) => join(SOURCES, name));
}

/** SHA-256 (hex) over names and contents of the agent's sources and its flags. */
export async function sourceHash() {
  const hash = createHash('sha256').update(CFLAGS.join(' '));
  for (const path of await sources(true)) {
    hash.update(`\0${path.slice(SOURCES.length)}\0`).update(await readFile(path));
  }
  return hash.digest('hex');
}

/** Source hash that the prebuilt binary was made from. */
export async function prebuiltHash() {
  return (await readFile(RECORDED, 'utf8')).trim();
}

/** Compiles to `path`, atomically. Rejects when gcc is missing (ENOENT) or refuses. */
export async function compileAgent(path, flags = CFLAGS) {
  const building = `${path}.${randomUUID()}.building`;
  await mkdir(dirname(path), { recursive: true });
  const build = `-DAGENT_BUILD="${(await sourceHash()).slice(0, 16)}"`;
  try {
    await run('gcc', [...flags, build, '-o', building, ...(await sources(false))]);
    await rename(building, path);
  } finally {
    await rm(building, { force: true });
  }
}

/**
 * Makes sure that an executable agent is at `path`; a file `path`.source remembers what it was made from, so a
 * second call costs a hash. Resolves with how it was made: `kept`, `compiled` or `prebuilt`.
 */
export async function ensureAgent(path) {
  const wanted = await sourceHash();
  const mark = `${path}.source`;
  const made = await readFile(mark, 'utf8').catch(() => '');
  if (made === wanted && (await readFile(path).catch(() => null))) return 'kept';
  let how = 'compiled';
  try {
    await compileAgent(path);
  } catch (error) {
    // no compiler, or one without a static libc: what comes with the sources, if it is of these very sources
    if ((await prebuiltHash().catch(() => '')) !== wanted) throw error;
    how = 'prebuilt';
    await mkdir(dirname(path), { recursive: true });
    const unpacking = `${path}.${randomUUID()}.unpacking`; // several may do this at once
    await writeFile(unpacking, gunzipSync(await readFile(PREBUILT)));
    await chmod(unpacking, 0o755);
    await rename(unpacking, path);
  }
  await writeFile(mark, wanted);
  return how;
}

async function refreshPrebuilt() {
  const path = `${PREBUILT}.${process.pid}`;
  await compileAgent(path);
  const packed = gzipSync(await readFile(path), { level: 9 });
  await rm(path);
  await writeFile(PREBUILT, packed);
  await writeFile(RECORDED, `${await sourceHash()}\n`);
  return packed.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = process.argv[2];
  if (target === '--prebuilt') console.log(`prebuilt agent: ${await refreshPrebuilt()} bytes`);
  else if (target) console.log(`${target}: ${await ensureAgent(target)}`);
  else throw new Error('usage: node guest/build-agent.mjs PATH | --prebuilt');
}
