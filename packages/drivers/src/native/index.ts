/**
 * The small C programs of a host: compiled from packages/drivers/native when a compiler is there, otherwise
 * the prebuilt ones that come with the sources. For drivers.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { AviaryError } from '@aviary/kernel';
import { run } from '../process/index.ts';

const SOURCES = new URL('../../native/', import.meta.url).pathname;

interface Program {
  sources: readonly string[];
  flags: readonly string[];
}

/** Every native program and how it is made. */
export const PROGRAMS = {
  'aviary-host': { sources: ['host-tool.h', 'host-tool.c', 'jail.c', 'pages.c'], flags: ['-static'] },
  'readonly-memory.so': { sources: ['readonly-memory.c'], flags: ['-shared', '-fPIC'] },
} as const satisfies Record<string, Program>;

export type ProgramName = keyof typeof PROGRAMS;

/** Hash of a program's sources and flags: names what is built from them. */
export async function sourceHash(name: ProgramName): Promise<string> {
  const { sources, flags }: Program = PROGRAMS[name];
  const hash = createHash('sha256').update(flags.join(' '));
  for (const source of sources) hash.update(await readFile(join(SOURCES, source)));
  return hash.digest('hex').slice(0, 16);
}

/**
 * Path of the program, built into `cacheDir` on first use. Errors: missing_dependency when there is neither a
 * compiler nor a prebuilt program of these sources for this processor.
 */
export async function ensureProgram(name: ProgramName, cacheDir: string): Promise<string> {
  const target = join(cacheDir, 'native', `${await sourceHash(name)}-${name}`);
  if (existsSync(target)) return target;
  await mkdir(join(cacheDir, 'native'), { recursive: true });
  const temporary = `${target}.${randomBytes(4).toString('hex')}.part`;
  try {
    await compile(name, temporary);
  } catch (error) {
    await unpackPrebuilt(name, temporary, error);
  }
  await chmod(temporary, 0o755);
  await rename(temporary, target);
  return target;
}

/** Compiles a program to `target`; missing_dependency without a compiler. */
export async function compile(name: ProgramName, target: string): Promise<void> {
  const { sources, flags }: Program = PROGRAMS[name];
  const files = sources.filter((source) => source.endsWith('.c')).map((source) => join(SOURCES, source));
  await run('gcc', ['-Os', '-Wall', '-Wextra', '-Werror', '-s', ...flags, '-o', target, ...files]);
}

/** Where the prebuilt of these very sources lies. */
export async function prebuiltPath(name: ProgramName): Promise<string> {
  return join(SOURCES, 'prebuilt', `${name}-${process.arch}-${await sourceHash(name)}.gz`);
}

async function unpackPrebuilt(name: ProgramName, target: string, whyNotCompiled: unknown): Promise<void> {
  const path = await prebuiltPath(name);
  try {
    await writeFile(target, gunzipSync(await readFile(path)));
  } catch {
    throw new AviaryError(
      'missing_dependency',
      `${name} cannot be built, and there is no prebuilt one for ${process.arch}; install gcc and libc6-dev`,
      { cause: whyNotCompiled },
    );
  }
}
