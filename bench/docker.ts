/**
 * The peer: Docker Engine from Debian's packages, a daemon of our own on a directory of its own, and a busybox
 * image made on the spot. For the benchmarks; needs root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Docker {
  version: string;
  /** Runs `docker` with these arguments to its end. */
  docker(...args: string[]): Promise<string>;
  close(): Promise<void>;
}

/** Name of the image: a root file system of busybox alone. */
export const IMAGE = 'aviary-bench-busybox';

/** Starts the daemon and makes the image. */
export async function startDocker(): Promise<Docker> {
  const dir = await mkdtemp(join(tmpdir(), 'aviary-docker-'));
  const host = `unix://${dir}/docker.sock`;
  const before = (await run('iptables', ['-S', 'FORWARD'])).stdout;
  const daemon = spawn(
    'dockerd',
    ['--host', host, '--data-root', `${dir}/data`, '--exec-root', `${dir}/exec`, '--pidfile', `${dir}/pid`],
    { stdio: 'ignore' },
  );
  const docker = async (...args: string[]) => (await run('docker', ['--host', host, ...args])).stdout;
  await untilItAnswers(docker, daemon);

  const root = join(dir, 'root');
  await mkdir(join(root, 'bin'), { recursive: true });
  await cp('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of ['sh', 'true', 'echo', 'sleep']) await symlink('busybox', join(root, 'bin', name));
  await run('tar', ['-C', root, '-cf', join(dir, 'root.tar'), '.']);
  await docker('import', join(dir, 'root.tar'), IMAGE);
  return {
    version: (await docker('version', '--format', '{{.Server.Version}}')).trim(),
    docker,
    close: async () => {
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
      if (!before.includes('-P FORWARD DROP')) await run('iptables', ['-P', 'FORWARD', 'ACCEPT']);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(docker: Docker['docker'], daemon: ChildProcess): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await docker('version');
      return;
    } catch (error) {
      if (daemon.exitCode !== null || tries >= 150) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
