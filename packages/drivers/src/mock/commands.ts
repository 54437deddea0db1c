/** The few commands that exist inside a mock capsule. Used by the mock guest only. */
import type { Clock } from '@aviary/kernel';
import type { GuestExec } from '@aviary/protocol';
import type { MockFiles } from './files.ts';
import { runLine } from './shell.ts';

/** What a running command sees. */
export interface RunContext {
  request: GuestExec;
  stdin: AsyncIterable<Buffer>;
  emit(stream: 'stdout' | 'stderr', data: Buffer): Promise<void>;
  /** Aborts when it is killed. */
  signal: AbortSignal;
  size(): { cols: number; rows: number };
}

/** A command; resolves with its exit code. */
export type Run = (context: RunContext) => Promise<number>;

/** What the commands may touch of the capsule. */
export interface World {
  files: MockFiles;
  envs: Readonly<Record<string, string>>;
  user: string;
  hostname: string;
  clock: Clock;
}

export interface Command {
  argv: readonly string[];
  cwd: string;
  envs: Readonly<Record<string, string>>;
  context: RunContext;
  world: World;
  out(text: string | Buffer): Promise<void>;
  err(text: string): Promise<void>;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\' };

/** printf's `\n`, `\xHH` and `\NNN`, as bytes. */
function escaped(text: string): Buffer {
  const latin = Buffer.from(text).toString('latin1');
  return Buffer.from(
    latin.replaceAll(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[ntr\\])/g, (_, code: string) =>
      code[0] === 'x'
        ? String.fromCharCode(Number.parseInt(code.slice(1), 16))
        : (ESCAPES[code] ?? String.fromCharCode(Number.parseInt(code, 8))),
    ),
    'latin1',
  );
}

const COMMANDS: Readonly<Record<string, (command: Command) => Promise<number>>> = {
  true: async () => 0,
  false: async () => 1,
  echo: async ({ argv, out }) => {
    await out(`${argv.slice(1).join(' ')}\n`);
    return 0;
  },
  printf: async ({ argv, out }) => {
    await out(escaped(argv[1] ?? ''));
    return 0;
  },
  cat: async ({ argv, context, world, cwd, out, err }) => {
    if (argv.length === 1) for await (const chunk of context.stdin) await out(chunk);
    for (const path of argv.slice(1)) {
      try {
        await out(world.files.bytes(world.files.resolve(path, cwd)));
      } catch {
        await err(`cat: ${path}: No such file or directory\n`);
        return 1;
      }
    }
    return 0;
  },
  sleep: async ({ argv, world, context }) => {
    await world.clock.sleep(Number(argv[1]) * 1000, context.signal);
    return 0;
  },
  env: async ({ envs, out }) => {
    for (const [name, value] of Object.entries(envs)) await out(`${name}=${value}\n`);
    return 0;
  },
  pwd: async ({ cwd, out }) => {
    await out(`${cwd}\n`);
    return 0;
  },
  whoami: async ({ context, world, out }) => {
    await out(`${context.request.user ?? world.user}\n`);
    return 0;
  },
  uname: async ({ world, out }) => {
    await out(`Linux ${world.hostname} 0.0.0-mock #1 mock mock GNU/Linux\n`);
    return 0;
  },
  stty: async ({ context, out }) => {
    await out(`${context.size().rows} ${context.size().cols}\n`);
    return 0;
  },
  // `head -c N /dev/zero`: N bytes of nothing, for limits
  head: async ({ argv, out }) => {
    for (let left = Number(argv[2]); left > 0; left -= 65536) await out(Buffer.alloc(Math.min(left, 65536)));
    return 0;
  },
  yes: async ({ context, out }) => {
    const lines = Buffer.from('y\n'.repeat(32768));
    while (!context.signal.aborted) await out(lines);
    return 0;
  },
  sh: (command) => shell(command),
  bash: (command) => shell(command),
};

async function shell(command: Command): Promise<number> {
  if (command.argv[1] === '-c') return (await runLine(command, command.argv[2] ?? '', dispatch)).code;
  let pending = '';
  for await (const chunk of command.context.stdin) {
    pending += chunk.toString();
    if (command.context.request.pty !== undefined) await command.out(chunk);
    const lines = pending.split(/\r?\n|\r/);
    pending = lines.pop()!;
    for (const line of lines) {
      const result = await runLine(command, line, dispatch);
      if (result.exited) return result.code;
    }
  }
  return 0;
}

/** Runs one command by name; 127 when there is none, as a shell does. */
export async function dispatch(command: Command): Promise<number> {
  const name = command.argv[0]!.replace(/^\/(usr\/)?bin\//, '');
  const run = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (run !== undefined) return run(command);
  await command.err(`${command.argv[0]}: command not found\n`);
  return 127;
}
