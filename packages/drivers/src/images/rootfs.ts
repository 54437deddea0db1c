/**
 * Builds the root file system of a base template: Debian from packages, as a sparse ext4 file. Image store
 * only. In namespaces of its own, as root or, for an ordinary user (needs uidmap), as root of a user namespace.
 */
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureEntry, keyOf } from './cache.ts';
import { run } from './command.ts';
import { IS_ROOT, inOwnNamespaces, removeTree, withAllOwners } from './confine.ts';
import { requirePrograms } from './programs.ts';
import type { Report } from './progress.ts';
import { type LoadedRecipe, loadRecipe } from './recipe.ts';
import { hostAptOptions, hostSources } from './sources.ts';

/** Raise it when the same recipe would come out differently. */
const BUILDER_VERSION = 1;

/** A root file system in the cache; never to be written to. */
export interface RootfsImage {
  /** Changes exactly when the recipe does. */
  key: string;
  /** A sparse raw ext4 file. */
  path: string;
  /** Its apparent size, bytes: the smallest disk a capsule can have. */
  sizeBytes: number;
}

/** Errors: template_not_found, missing_dependency (a tool is absent), host_unavailable (a download failed). */
export async function ensureRootfs(cacheDir: string, name: string, report: Report): Promise<RootfsImage> {
  const recipe = await loadRecipe(name);
  const key = keyOf('rootfs', String(BUILDER_VERSION), process.arch, recipe.hash);
  const dir = await ensureEntry(cacheDir, {
    kind: `rootfs-${name}`,
    key,
    onWait: () => report(`waiting for another process that builds ${name}`, null),
    build: (building) => build(recipe, building, report),
  });
  const path = join(dir, 'rootfs.ext4');
  return { key, path, sizeBytes: (await stat(path)).size };
}

async function build(recipe: LoadedRecipe, dir: string, report: Report): Promise<void> {
  requirePrograms(`build the root file system ${recipe.name}`, BUILD_PROGRAMS);
  const tar = join(dir, 'rootfs.tar');
  const image = join(dir, 'rootfs.ext4');
  await bootstrap(recipe, tar, dir, report);
  report(`making the disk image of ${recipe.name}`, 85);
  await makeFileSystem(recipe, tar, image, dir);
  await rm(tar);
  await writeFile(
    join(dir, 'recipe.json'),
    JSON.stringify({ name: recipe.name, hash: recipe.hash }, null, 2),
  );
}

/** Debian in a tar archive. */
async function bootstrap(recipe: LoadedRecipe, tar: string, dir: string, report: Report): Promise<void> {
  const work = join(dir, 'tmp');
  await mkdir(work, { mode: 0o755 });
  const aptOptions = [
    ...(await hostAptOptions()),
    // The user _apt may not enter our directories.
    'APT::Sandbox::User "root"',
    'Acquire::Languages "none"',
  ];
  const argv: [string, ...string[]] = [
    'mmdebstrap',
    '--mode=root',
    '--variant=minbase',
    `--include=${recipe.packages.join(',')}`,
    ...recipe.exclude.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...recipe.include.map((path) => `--dpkgopt=path-include=${path}`),
    ...aptOptions.map((option) => `--aptopt=${option}`),
    `--customize-hook=${recipe.customize}`,
    recipe.suite,
    tar,
    ...(await hostSources(recipe.suite)),
  ];
  await run(inOwnNamespaces(...argv), {
    what: `build the root file system ${recipe.name}`,
    env: { TMPDIR: work },
    onLine: (line) => {
      const stage = STAGES.find(({ says }) => line.startsWith(says));
      if (stage !== undefined) report(`building ${recipe.name}: ${stage.means}`, stage.percent);
    },
  });
  await removeTree(work);
}

/** The archive's content as an ext4 file, with its owners; nothing is mounted. */
async function makeFileSystem(recipe: LoadedRecipe, tar: string, image: string, dir: string): Promise<void> {
  const tree = join(dir, 'tree');
  const allocated = join(dir, 'allocated.ext4');
  await mkdir(tree);
  const what = `make the disk image ${recipe.name}`;
  const step = (...argv: [string, ...string[]]) => run(withAllOwners(...argv), { what });
  // Device nodes cannot be made in a user namespace, and capsules mount a devtmpfs anyway.
  await step('tar', '--extract', '--directory', tree, '--numeric-owner', '--exclude=./dev/*', '--file', tar);
  await step(
    'mke2fs',
    '-q',
    ...['-t', 'ext4', '-b', '4096', '-I', '256', '-m', '0', '-L', 'aviary', '-d', tree],
    // 16 MiB of journal hold any burst a capsule makes; the default of 128 would be copied on write.
    ...['-J', 'size=16'],
    // Room in the descriptor table to grow to 1 TiB; the inode tables are holes, which read as zeroes, so
    // the kernel need not write them at the first mount (that would fill every capsule's overlay).
    ...['-E', `resize=${1024 * 2 ** 18},lazy_itable_init=0,lazy_journal_init=1,root_owner=0:0`],
    allocated,
    `${recipe.diskGib}g`,
  );
  // mke2fs allocates those zeroes (75 MB of 300) without writing them; a copy leaves them out.
  await run(['cp', '--sparse=always', allocated, image], { what });
  await rm(allocated);
  await removeTree(tree);
}

/** What is started here, also through other programs. */
const BUILD_PROGRAMS = [
  'setpriv',
  'unshare',
  'mmdebstrap',
  'tar',
  'mke2fs',
  ...(IS_ROOT ? [] : ['newuidmap']),
];

/** What mmdebstrap says at its stages, what that means, and how far it is by then (measured). */
const STAGES = [
  { says: 'I: running apt-get update', means: 'reading the package lists', percent: 2 },
  { says: 'I: downloading packages', means: 'downloading packages', percent: 20 },
  { says: 'I: extracting archives', means: 'unpacking the essential packages', percent: 30 },
  { says: 'I: installing essential', means: 'setting up the essential packages', percent: 40 },
  { says: 'I: installing remaining', means: 'installing the other packages', percent: 50 },
  { says: 'I: running --customize-hook', means: 'finishing the tree', percent: 80 },
] as const;
