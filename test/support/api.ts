/** A small client of the wrenn surface, as anybody outside would write it: plain HTTP, status and body. */
import { connect, type Socket } from '../contract/sockets.ts';

export interface Reply<T> {
  status: number;
  headers: Headers;
  body: T;
}

export interface Failure {
  error: { code: string; message: string };
}

export interface Capsule {
  id: string;
  status: string;
  status_reason: string | null;
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  timeout_sec: number;
}

export interface ExecResult {
  stdout: string;
  stderr: string;
  exit_code: number;
  encoding: string;
  duration_ms: number;
  timed_out: boolean;
  truncated: boolean;
}

export interface Exec {
  cmd: string;
  args?: string[];
  timeout_sec?: number;
  background?: boolean;
  tag?: string;
  envs?: Record<string, string>;
  cwd?: string;
  user?: string;
  stdin?: string;
}

export interface ProcessEntry {
  pid: number;
  tag: string;
  cmd: string;
  args: string[];
}

export interface FileEntry {
  name: string;
  path: string;
  type: string;
  size: number;
  mode: number;
  permissions: string;
  owner: string;
  group: string;
  modified_at: number;
  symlink_target: string | null;
}

export interface Api {
  get<T>(path: string): Promise<Reply<T>>;
  post<T>(path: string, body?: unknown): Promise<Reply<T>>;
  put<T>(path: string, body: unknown): Promise<Reply<T>>;
  delete<T>(path: string): Promise<Reply<T>>;
  /** A request with nothing done to it. */
  raw(path: string, init: RequestInit): Promise<Response>;
  socket(path: string): Promise<Socket>;
  /** A running capsule; throws when it is refused. */
  create(order?: object): Promise<Capsule>;
  capsule(id: string): Box;
  /** Every capsule and snapshot of the team. */
  destroyAll(): Promise<void>;
}

/** What is done with one capsule. */
export interface Box {
  readonly id: string;
  readonly path: string;
  read(): Promise<Capsule>;
  exec<T = ExecResult>(request: Exec): Promise<Reply<T>>;
  /** A script of `/bin/sh`; throws unless it exits with 0. Its stdout. */
  sh(script: string, more?: Partial<Exec>): Promise<string>;
  /** A background process; throws when it is refused. */
  spawn(request: Exec): Promise<{ pid: number; tag: string }>;
  processes(): Promise<ProcessEntry[]>;
  kill(selector: string | number, signal?: string): Promise<Reply<Failure | null>>;
  pause(): Promise<Reply<Capsule>>;
  resume(): Promise<Reply<Capsule>>;
  destroy(): Promise<Reply<null>>;
  write(path: string, content: string | Uint8Array, route?: 'write' | 'stream/write'): Promise<Response>;
  /** The bytes, or the failure. */
  readFile(path: string, route?: 'read' | 'stream/read'): Promise<{ status: number; bytes: Buffer }>;
  files<T = { entries: FileEntry[] }>(verb: 'list' | 'mkdir' | 'remove', body: object): Promise<Reply<T>>;
  stream(): Promise<Socket>;
  attach(selector: string | number): Promise<Socket>;
  pty(): Promise<Socket>;
}

/** A client of the product at `url()`, with these credentials. */
export function createApi(url: () => string, headers: Readonly<Record<string, string>>): Api {
  const raw = (path: string, init: RequestInit) =>
    fetch(url() + path, { ...init, headers: { ...headers, ...(init.headers as Record<string, string>) } });
  const call = async <T>(method: string, path: string, body?: unknown): Promise<Reply<T>> => {
    const response = await raw(path, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? null : JSON.parse(text)) as T,
    };
  };
  const api: Api = {
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, body),
    put: (path, body) => call('PUT', path, body),
    delete: (path) => call('DELETE', path),
    raw,
    socket: (path) => connect(url() + path, headers),
    create: async (order = {}) => {
      const { status, body } = await call<Capsule>('POST', '/v1/capsules', order);
      return expected(status, 201, body);
    },
    capsule: (id) => box(api, id),
    destroyAll: async () => {
      for (const status of ['', '?status=error', '?status=missing']) {
        const { body } = await call<Capsule[]>('GET', `/v1/capsules${status}`);
        await Promise.all(body.map(({ id }) => call('DELETE', `/v1/capsules/${id}`)));
      }
      const { body } = await call<{ name: string }[]>('GET', '/v1/snapshots?type=snapshot');
      for (const { name } of body) await call('DELETE', `/v1/snapshots/${name}`);
    },
  };
  return api;
}

function expected<T>(status: number, wanted: number, body: T): T {
  if (status !== wanted) throw new Error(`${status} instead of ${wanted}: ${JSON.stringify(body)}`);
  return body;
}

const BOUNDARY = 'aviary-0d1f6b1c';

/** A form with `path` and `file` (RFC 7578), byte for byte: FormData would change line ends in names. */
function uploadOf(path: string, content: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const part = (fields: string) => `--${BOUNDARY}\r\ncontent-disposition: form-data; ${fields}\r\n\r\n`;
  return new Uint8Array(
    Buffer.concat([
      Buffer.from(`${part('name="path"')}${path}\r\n${part('name="file"; filename="f"')}`),
      typeof content === 'string' ? Buffer.from(content) : content,
      Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
    ]),
  );
}

function box(api: Api, id: string): Box {
  const path = `/v1/capsules/${id}`;
  const self: Box = {
    id,
    path,
    read: async () => {
      const { status, body } = await api.get<Capsule>(path);
      return expected(status, 200, body);
    },
    exec: (request) => api.post(`${path}/exec`, request),
    sh: async (script, more = {}) => {
      const { status, body } = await self.exec({ cmd: '/bin/sh', args: ['-c', script], ...more });
      expected(status, 200, body);
      if (body.exit_code !== 0) throw new Error(`${script}: ${JSON.stringify(body)}`);
      return body.stdout;
    },
    spawn: async (request) => {
      const { status, body } = await self.exec<{ pid: number; tag: string }>({
        background: true,
        ...request,
      });
      return expected(status, 202, body);
    },
    processes: async () => {
      const { status, body } = await api.get<{ processes: ProcessEntry[] }>(`${path}/processes`);
      return expected(status, 200, body).processes;
    },
    kill: (selector, signal) =>
      api.delete(`${path}/processes/${selector}${signal === undefined ? '' : `?signal=${signal}`}`),
    pause: () => api.post(`${path}/pause`),
    resume: () => api.post(`${path}/resume`),
    destroy: () => api.delete(path),
    write: (to, content, route = 'write') =>
      api.raw(`${path}/files/${route}`, {
        method: 'POST',
        headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
        body: uploadOf(to, content),
      }),
    readFile: async (from, route = 'read') => {
      const response = await api.raw(`${path}/files/${route}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ path: from }),
      });
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    },
    files: (verb, body) => api.post(`${path}/files/${verb}`, body),
    stream: () => api.socket(`${path}/exec/stream`),
    attach: (selector) => api.socket(`${path}/processes/${selector}/stream`),
    pty: () => api.socket(`${path}/pty`),
  };
  return self;
}
