/** The inside of a mock capsule. Used by the mock host only. */
import { AviaryError, type Clock, type RandomBytes, randomHex } from '@aviary/kernel';
import type { CapsuleSpec, Guest, GuestSignal } from '@aviary/protocol';
import { dispatch, type World } from './commands.ts';
import { createMockFiles, type MockFiles } from './files.ts';
import { type MockProcess, startProcess } from './process.ts';
import type { Script } from './script.ts';

const SIGNALS: Readonly<Record<GuestSignal, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

export interface MockGuest extends Guest {
  files: MockFiles;
  /** Everything inside ends as if the machine were gone. */
  lose(error: AviaryError): void;
}

/** The guest of `spec`; with `files` of another one it is its clone. */
export function createMockGuest(
  spec: CapsuleSpec,
  { clock, script, random }: { clock: Clock; script: Script; random: RandomBytes },
  files: MockFiles = createMockFiles(spec.user, clock, spec.diskMb * 1024 * 1024),
): MockGuest {
  const world: World = { files, envs: spec.envs, user: spec.user, hostname: spec.id, clock };
  const processes = new Map<number, MockProcess>();
  let lastPid = 100;
  let lost: AviaryError | null = null;

  const enter = async (call: string) => {
    if (lost !== null) throw lost;
    await script.enter(`guest.${call}`);
  };
  const select = (selector: string): MockProcess => {
    const found = /^\d+$/.test(selector)
      ? processes.get(Number(selector))
      : [...processes.values()].reverse().find((p) => p.tag === selector);
    if (found === undefined)
      throw new AviaryError('process_not_found', `no process ${selector} in the capsule`);
    return found;
  };

  return {
    files,
    lose: (error) => {
      lost = error;
      for (const process of processes.values()) process.lose(error);
    },
    exec: async (request) => {
      await enter('exec');
      const cwd = files.resolve(request.cwd ?? '~');
      let isDirectory = false;
      try {
        isDirectory = files.stat(cwd).type === 'directory';
      } catch (error) {
        throw new AviaryError('exec_failed', `cwd: ${cwd} does not exist`, { cause: error });
      }
      if (!isDirectory) throw new AviaryError('exec_failed', `cwd: ${cwd} is not a directory`);
      if (request.user !== undefined && request.user !== 'root' && request.user !== spec.user) {
        throw new AviaryError('exec_failed', `user: there is no user ${request.user} in the capsule`);
      }
      const tag = request.tag ?? `${request.pty === undefined ? 'proc' : 'pty'}-${randomHex(4, random)}`;
      if ([...processes.values()].some((p) => p.tag === tag && !p.ended())) {
        throw new AviaryError('process_tag_taken', `a running process has the tag ${tag}`);
      }
      const envs = { ...spec.envs, ...request.envs };
      const process = startProcess(++lastPid, tag, request, (context) =>
        dispatch({
          argv: request.argv,
          cwd,
          envs,
          context,
          world,
          out: (data) => context.emit('stdout', Buffer.from(data)),
          err: (text) => context.emit('stderr', Buffer.from(text)),
        }),
      );
      processes.set(process.pid, process);
      return process.attach();
    },
    attach: async (selector) => {
      await enter('attach');
      return select(selector).attach();
    },
    processes: async () => {
      await enter('processes');
      return [...processes.values()]
        .filter((p) => !p.ended())
        .map(({ pid, tag, request: { argv } }) => ({ pid, tag, cmd: argv[0]!, args: argv.slice(1) }));
    },
    kill: async (selector, signal) => {
      await enter('kill');
      const process = select(selector);
      if (process.ended()) throw new AviaryError('process_not_found', `the process ${selector} has ended`);
      process.signal(SIGNALS[signal]);
    },
    readFile: async (path, range) => {
      await enter('readFile');
      return files.read(path, range);
    },
    writeFile: async (path, body, options) => {
      await enter('writeFile');
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      return files.write(path, Buffer.concat(chunks), options?.mode);
    },
    stat: async (path) => {
      await enter('stat');
      return files.stat(path);
    },
    list: async (path, depth) => {
      await enter('list');
      return files.list(path, depth);
    },
    mkdir: async (path) => {
      await enter('mkdir');
      return files.mkdir(path);
    },
    remove: async (path) => {
      await enter('remove');
      files.remove(path);
    },
    move: async (from, to) => {
      await enter('move');
      return files.move(from, to);
    },
    metrics: async () => {
      await enter('metrics');
      const disk = spec.diskMb * 1024 * 1024;
      return {
        cpuPercent: 1,
        memUsedBytes: 64 * 1024 * 1024,
        memTotalBytes: spec.memoryMb * 1024 * 1024,
        diskUsedBytes: files.usedBytes(),
        diskTotalBytes: disk,
      };
    },
    ping: async () => {
      await enter('ping');
      return 0;
    },
  };
}
