/**
 * What can be done inside a running capsule: the data path from a surface through the host link to the
 * guest agent. Nothing here touches the database. All failures are AviaryError with the codes named.
 */
import type { Readable } from 'node:stream';

/** A command to start. `argv[0]` is looked up in PATH; nothing is passed through a shell. */
export interface GuestExec {
  argv: readonly string[];
  envs?: Readonly<Record<string, string>>;
  /** Absolute, or relative to the user's home; default the home. */
  cwd?: string;
  /** User name inside the capsule; default the capsule's default user (root). */
  user?: string;
  /** Unique among the running processes; generated (`proc-`/`pty-` + 8 hex) when absent. */
  tag?: string;
  /** Give the process a pseudo-terminal of this size instead of pipes. */
  pty?: { cols: number; rows: number };
  /** Keep stdin open for {@link GuestProcess.write}; otherwise the process reads EOF at once. PTYs are always open. */
  stdin?: boolean;
  /** Stay listed and keep output for replay after the caller is gone (background processes, PTYs). */
  background?: boolean;
}

/** A piece of output. `offset` is the byte position in its stream; `lost` bytes before it were overwritten. */
export interface GuestOutput {
  stream: 'stdout' | 'stderr' | 'pty';
  offset: number;
  lost: number;
  data: Buffer;
}

/** How a process ended: `code` 0-255, or 128+signal when a signal ended it. */
export interface GuestExit {
  code: number;
  signal: number | null;
}

/** An attachment to one process. Detaching never ends the process. */
export interface GuestProcess {
  readonly pid: number;
  readonly tag: string;
  /** Pull-based: unread output holds back a foreground process, never anybody else. Ends after the exit. */
  readonly output: AsyncIterable<GuestOutput>;
  /** Resolves when the process has ended and its last output was handed out; rejects with `capsule_lost`. */
  readonly exit: Promise<GuestExit>;
  /** Bytes to stdin or the terminal, in order, complete; resolves when the guest has taken them. */
  write(data: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  resize(cols: number, rows: number): Promise<void>;
  /** Stops listening. A foreground process that nobody listens to any more goes on and is listed. */
  detach(): void;
}

/** A process in the capsule: of ours (with its tag) or any other user process (tag empty). */
export interface GuestProcessInfo {
  pid: number;
  tag: string;
  cmd: string;
  args: string[];
}

export type GuestSignal = 'SIGKILL' | 'SIGTERM' | 'SIGINT' | 'SIGHUP';

/** One directory entry, field for field what `lstat` says. */
export interface GuestFile {
  name: string;
  path: string;
  type: 'file' | 'directory' | 'symlink' | 'other';
  /** Bytes. */
  size: number;
  /** Permission bits, e.g. 0o644. */
  mode: number;
  owner: string;
  group: string;
  /** Unix time, seconds. */
  modifiedAt: number;
  symlinkTarget: string | null;
}

/** Usage inside the capsule. Bytes; `cpuPercent` of all its vCPUs, 0-100, since the previous call. */
export interface GuestMetrics {
  cpuPercent: number;
  memUsedBytes: number;
  memTotalBytes: number;
  diskUsedBytes: number;
  diskTotalBytes: number;
}

/** Selects a process: all digits is a pid, anything else a tag. */
export type ProcessSelector = string;

/**
 * A running capsule's inside. Paths: absolute, `~`, `~/x`, or relative to the default user's home; a NUL
 * byte or an empty path is `invalid_request`.
 */
export interface Guest {
  /** Starts a process. Errors: exec_failed (cwd, user, E2BIG), process_tag_taken, capsule_lost.
   *  A command that does not exist starts and exits 127 with a sentence on stderr, as in a shell. */
  exec(request: GuestExec): Promise<GuestProcess>;
  /** Attaches to a running or ended process; output is replayed from what is kept (`from` per stream), then live. */
  attach(selector: ProcessSelector, from?: { stdout?: number; stderr?: number }): Promise<GuestProcess>;
  /** All user processes that run, ours with their tags, oldest first. */
  processes(): Promise<GuestProcessInfo[]>;
  /** Signals the whole tree that the process started. SIGKILL leaves nothing of it alive. Error: process_not_found. */
  kill(selector: ProcessSelector, signal: GuestSignal): Promise<void>;

  /** Errors: file_not_found, is_a_directory, permission_denied. Devices and fifos are refused (invalid_request). */
  readFile(
    path: string,
    range?: { offset?: number; length?: number },
  ): Promise<{ file: GuestFile; body: Readable }>;
  /** Creates parents (0755) and the file (0644, or `mode`), owned by the default user; visible only when whole.
   *  Errors: is_a_directory, not_a_directory, no_space, permission_denied. */
  writeFile(
    path: string,
    body: AsyncIterable<Uint8Array>,
    options?: { mode?: number; user?: string },
  ): Promise<GuestFile>;
  stat(path: string): Promise<GuestFile>;
  /** Children sorted by path; depth 0 and 1 are the immediate children. Links are listed, nested ones not followed. */
  list(path: string, depth: number): Promise<GuestFile[]>;
  /** With parents. Errors: file_exists, not_a_directory. */
  mkdir(path: string): Promise<GuestFile>;
  /** File or tree; a missing path is file_not_found; `/` and the like are refused (permission_denied). */
  remove(path: string): Promise<void>;
  move(from: string, to: string): Promise<GuestFile>;

  metrics(): Promise<GuestMetrics>;
  /** A round trip to the agent; milliseconds. */
  ping(): Promise<number>;
}
