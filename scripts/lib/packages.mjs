/**
 * The Debian packages Aviary needs: the one list that scripts, doctor, error messages and docs share.
 * Data and lookups only; it imports nothing, so everybody may import it, also on a fresh clone.
 */

/**
 * @typedef {object} SystemPackage
 * @property {string} name Debian package.
 * @property {string} why What it is needed for, as half a sentence.
 * @property {'core' | 'guest-network' | 'build' | 'test' | 'bench'} group core: no capsules without it;
 *   guest-network: capsules run, without network; build: only without the prebuilt binaries; test: suites only; bench: comparisons only.
 * @property {readonly string[]} programs Programs of it that we start.
 */

/** @type {readonly SystemPackage[]} */
export const SYSTEM_PACKAGES = [
  {
    name: 'qemu-system-x86',
    why: 'runs the capsules',
    group: 'core',
    programs: ['qemu-system-x86_64'],
  },
  { name: 'qemu-utils', why: 'makes their copy-on-write disks', group: 'core', programs: ['qemu-img'] },
  {
    name: 'mmdebstrap',
    why: 'builds the root file system of the base templates',
    group: 'core',
    programs: ['mmdebstrap'],
  },
  {
    name: 'e2fsprogs',
    why: 'turns that into a disk image',
    group: 'core',
    programs: ['mke2fs', 'dumpe2fs', 'debugfs', 'e2fsck'],
  },
  {
    name: 'util-linux',
    why: 'locks files and makes namespaces',
    group: 'core',
    programs: ['flock', 'unshare', 'setpriv', 'nsenter', 'mount', 'umount'],
  },
  {
    name: 'uidmap',
    why: 'lets an ordinary user build root file systems',
    group: 'core',
    programs: ['newuidmap', 'newgidmap'],
  },
  { name: 'curl', why: 'types the first steps', group: 'core', programs: ['curl'] },
  { name: 'iproute2', why: "makes the capsules' network", group: 'guest-network', programs: ['ip'] },
  { name: 'nftables', why: 'filters what leaves that network', group: 'guest-network', programs: ['nft'] },
  {
    name: 'gcc',
    why: 'compiles the guest agent where no prebuilt one fits',
    group: 'build',
    programs: ['gcc'],
  },
  { name: 'libc6-dev', why: 'goes with gcc', group: 'build', programs: [] },
  { name: 'cpio', why: 'checks the initramfs writer', group: 'test', programs: ['cpio'] },
  {
    name: 'busybox-static',
    why: 'tiny root file systems of tests and benchmarks',
    group: 'test',
    programs: ['busybox'],
  },
  {
    name: 'docker.io',
    why: 'what the benchmarks are measured beside',
    group: 'bench',
    programs: ['docker', 'dockerd'],
  },
];

/**
 * The Debian package that brings `program`, or undefined for a program that is not ours to name.
 * @param {string} program
 * @returns {string | undefined}
 */
export function packageOf(program) {
  return SYSTEM_PACKAGES.find((entry) => entry.programs.includes(program))?.name;
}

/**
 * The command a person types to get `names`.
 * @param {readonly string[]} names
 * @returns {string}
 */
export function installCommand(names) {
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names.join(' ')}`;
}
