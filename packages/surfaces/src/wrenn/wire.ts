/** Shapes of the wrenn contract's bodies, as its schemas (and our additions) say. Types only, for this surface. */

export interface SignupRequest {
  email: string;
  password: string;
  name: string;
}

export interface LoginRequest {
  email: string;
  password: string;
}

export interface CreateCapsuleRequest {
  template?: string;
  vcpus?: number;
  memory_mb?: number;
  disk_mb?: number;
  timeout_sec?: number;
  envs?: Record<string, string>;
  metadata?: Record<string, string>;
  user?: string;
}

export interface CreateSnapshotRequest {
  sandbox_id: string;
  name?: string;
  keep_running?: boolean;
}

export interface ExecRequest {
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

export interface PathRequest {
  path: string;
}

export interface ListDirRequest extends PathRequest {
  depth?: number;
}

/** Answer of a foreground exec. */
export interface ExecResponse {
  sandbox_id: string;
  cmd: string;
  stdout: string;
  stderr: string;
  exit_code: number;
  duration_ms: number;
  encoding: 'utf-8' | 'base64';
  timed_out: boolean;
  truncated: boolean;
  error?: { code: 'timeout'; message: string };
}
