/**
 * The whole product as a child process on real microVMs, on a state directory of its own: started, stopped,
 * killed, started again. For the system tests; one product per test file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Api, createApi } from './api.ts';
import { leftBehind } from './traces.ts';

const MAIN = fileURLToPath(new URL('../../apps/control-plane/src/main.ts', import.meta.url));

export interface Product {
  /** State directory (AVIARY_DATA). */
  readonly data: string;
  /** Base address of the running process; another after each start. */
  readonly url: string;
  readonly pid: number;
  /** What the running process wrote to stderr so far. */
  stderr(): string;
  /** The first account's team, by API key. */
  readonly api: Api;
  /** That team's API key. */
  readonly key: string;
  /** Another account with a team of its own. */
  stranger(): Promise<Api>;
  /** SIGTERM; rejects unless it exits with 0. */
  stop(): Promise<void>;
  /** SIGKILL of the main process only: PostgreSQL and capsules are not told. */
  kill(): Promise<void>;
  /** After stop or kill: on the same directory again. Answers once ready. */
  start(): Promise<void>;
  /** Destroys what is left, stops, and throws when anything of it is left on the machine. */
  close(): Promise<void>;
}

interface Running {
  child: ChildProcess;
  exit: Promise<number | string | null>;
  url: string;
  stderr: () => string;
}

/** Starts it and makes the first account. `env` adds settings. */
export async function startProduct(env: Readonly<Record<string, string>> = {}): Promise<Product> {
  const data = mkdtempSync(join(tmpdir(), 'aviary-system-'));
  let running = await launch(data, env);
  let accounts = 0;
  const url = () => running.url;
  const end = async (signal: NodeJS.Signals) => {
    running.child.kill(signal);
    return running.exit;
  };
  const newAccount = async () => {
    const email = `person-${++accounts}@example.com`;
    const session = await createApi(url, {}).post<{ token: string }>('/v1/auth/signup', {
      email,
      password: 'a long enough password',
      name: `person ${accounts}`,
    });
    if (session.status !== 201) throw new Error(`signup: ${session.status} ${JSON.stringify(session.body)}`);
    const as = { authorization: `Bearer ${session.body.token}` };
    const key = await createApi(url, as).post<{ key: string }>('/v1/api-keys', { name: 'system test' });
    return key.body.key;
  };
  const stop = async () => {
    const code = await end('SIGTERM');
    if (code !== 0) throw new Error(`it ended with ${code} on SIGTERM: ${running.stderr()}`);
  };
  const key = await newAccount();
  const api = createApi(url, { 'x-api-key': key });
  const product: Product = {
    data,
    get url() {
      return running.url;
    },
    get pid() {
      return running.child.pid!;
    },
    stderr: () => running.stderr(),
    api,
    key,
    stranger: async () => createApi(url, { 'x-api-key': await newAccount() }),
    stop,
    kill: async () => {
      await end('SIGKILL');
    },
    start: async () => {
      running = await launch(data, env);
    },
    close: async () => {
      await api.destroyAll();
      await stop();
      const left = await leftBehind(data);
      if (left.length > 0) throw new Error(`left behind by ${data}:\n${left.join('\n')}`);
      removeSocketDir(data);
      rmSync(data, { recursive: true });
    },
  };
  return product;
}

/** PostgreSQL's socket directory is kept for the next start; it must be empty by now. */
function removeSocketDir(data: string): void {
  const name = createHash('sha256').update(data).digest('hex').slice(0, 12);
  const dir = `/run/aviary-${name}`;
  if (existsSync(dir)) rmdirSync(dir);
}

/** Answers when it says that it is ready and /healthz agrees; fails with its stderr as soon as it ends. */
async function launch(data: string, env: Readonly<Record<string, string>>): Promise<Running> {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('AVIARY_'));
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN], {
    env: { ...Object.fromEntries(own), AVIARY_DATA: data, AVIARY_LISTEN: '127.0.0.1:0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exit = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string | null);
  const url = await new Promise<string>((resolve, reject) => {
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const found = /ready at (http:\S+)/.exec(stdout)?.[1];
      if (found !== undefined) resolve(found);
    });
    exit.then((code) => reject(new Error(`the product ended with ${code} before it was ready: ${stderr}`)));
  });
  const health = await fetch(`${url}/healthz`);
  if (health.status !== 200) throw new Error(`ready, but /healthz says ${health.status}`);
  return { child, exit, url, stderr: () => stderr };
}
