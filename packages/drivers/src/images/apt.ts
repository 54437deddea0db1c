/**
 * Downloads Debian packages with the machine's own apt: its sources, keys, proxies and CA trust. Image
 * builder only. Nothing is installed and, but for `apt-get download`'s file, nothing outside `dir` is written.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { run } from './command.ts';
import { hostSources } from './sources.ts';

/** A package as apt would install it. */
export interface PackageVersion {
  name: string;
  version: string;
}

export interface Apt {
  /**
   * The package that the metapackage `name` stands for (its first dependency beginning with `prefix`).
   * Errors: missing_dependency when no source has it.
   */
  resolve(name: string, prefix: string): Promise<PackageVersion>;
  /** Downloads it into `dir` and resolves with the file's path. */
  download(wanted: PackageVersion, dir: string): Promise<string>;
}

/**
 * An apt that knows the Debian release `suite` only, from the machine's mirrors, with lists as of now in
 * `stateDir`. The machine's own lists may be absent, too old (the files they name are gone from the mirror),
 * of another release, or not ours to update. Errors: host_unavailable when a mirror cannot be read.
 */
export async function createApt(suite: string, stateDir: string): Promise<Apt> {
  const lists = join(stateDir, 'lists');
  const cache = join(stateDir, 'cache');
  const sources = join(stateDir, 'sources.list');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  await writeFile(sources, `${(await hostSources(suite)).join('\n')}\n`);
  const settings = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${cache}`,
    `Dir::Etc::SourceList=${sources}`,
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::State::Status=/dev/null',
    // The user _apt may not enter our directories.
    'APT::Sandbox::User=root',
    // Hooks of the desktop (appstream, packagekit) want the machine's own lists.
    'APT::Update::Post-Invoke-Success=',
    'APT::Update::Error-Mode=any',
  ];
  const options = ['-q', ...settings.flatMap((setting) => ['-o', setting])];
  const apt = (what: string, program: string, args: readonly string[], cwd?: string) =>
    run([program, ...options, ...args], { what, ...(cwd === undefined ? {} : { cwd }) });
  await apt('update the package lists', 'apt-get', ['update']);
  return {
    resolve: async (name, prefix) => {
      const what = `find the package ${name}`;
      const depends = dependency(
        await apt(what, 'apt-cache', ['depends', '--no-recommends', '--no-suggests', name]),
        prefix,
      );
      const version = depends && candidate(await apt(what, 'apt-cache', ['policy', depends]));
      if (!depends || !version) {
        throw new AviaryError(
          'missing_dependency',
          `cannot ${what}: none of this machine's apt sources has it; add a Debian "main" source and try again`,
        );
      }
      return { name: depends, version };
    },
    download: async (wanted, dir) => {
      await apt(`download ${wanted.name}`, 'apt-get', ['download', `${wanted.name}=${wanted.version}`], dir);
      const file = (await readdir(dir)).find(
        (name) => name.startsWith(`${wanted.name}_`) && name.endsWith('.deb'),
      );
      if (file === undefined) {
        throw new AviaryError(
          'host_unavailable',
          `cannot download ${wanted.name}: apt-get left no file in ${dir}`,
        );
      }
      return join(dir, file);
    },
  };
}

/** The first dependency beginning with `prefix` in the output of `apt-cache depends`. */
export function dependency(output: string, prefix: string): string | undefined {
  for (const line of output.split('\n')) {
    const name = /^\s*\|?Depends: (\S+)$/.exec(line)?.[1];
    if (name?.startsWith(prefix)) return name;
  }
  return undefined;
}

/** The version in the output of `apt-cache policy` that would be installed. */
export function candidate(output: string): string | undefined {
  const version = /^\s*Candidate: (\S+)$/m.exec(output)?.[1];
  return version === '(none)' ? undefined : version;
}
