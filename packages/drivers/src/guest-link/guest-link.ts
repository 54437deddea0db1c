/**
 * The host's side of a capsule's guest agent: a `Guest` over the two virtio-serial ports that QEMU shows as unix
 * sockets. Used by drivers that run microVMs. Protocol: guest/PROTOCOL.md.
 */
import { AviaryError, type Clock, type Logger, systemClock } from '@aviary/kernel';
import type { Guest, GuestProcessInfo } from '@aviary/protocol';
import { type Connection, connect, type Greeting } from './connection.ts';
import { dial } from './dial.ts';
import { eachField, encodeFields, numberOf, textOf } from './fields.ts';
import { createFiles } from './files.ts';
import { type GuestIdentity, identityFields } from './identity.ts';
import { execFields, follow, OUTPUT_WINDOW } from './process.ts';
import { toSignal } from './signals.ts';
import { F, T } from './wire.ts';

/** A connected guest. Every call fails with `capsule_lost` once the link is closed. */
export interface GuestLink extends Guest {
  /** What the agent said of itself. */
  readonly greeting: Greeting;
  /** Makes a clone itself: entropy, clock, names, default user and environment. One write, one reply. */
  restore(identity: GuestIdentity): Promise<void>;
  /**
   * The guest sends nothing more until the next call: the moment to stop and copy the machine. With `freeze`
   * its processes stand still too, until `restore` (in a copy) or `thaw`.
   */
  quiesce(options?: { freeze?: boolean }): Promise<void>;
  /** Lets go what `quiesce` froze; fine when nothing is frozen. */
  thaw(): Promise<void>;
  /** Hangs up. Processes in the guest go on. */
  close(): void;
  /** Resolves with the reason, as a sentence, when the link is over. */
  readonly closed: Promise<string>;
}

export interface ConnectOptions {
  /** Unix sockets of the chardevs behind the ports `ctl` and `bulk`. */
  ctlPath: string;
  bulkPath: string;
  log: Logger;
  clock?: Clock;
  /** Until when both sockets must exist and the guest must have answered; milliseconds, default 20,000. */
  timeoutMs?: number;
  /** Sent right behind the greeting, so that a fresh clone costs one round trip; done when this resolves. */
  identity?: GuestIdentity;
  /** Its state was saved while it was quiet (see `quiesce`) and nobody spoke to it since; default false. */
  clean?: boolean;
}

/** Connects to a guest that boots, runs, or was just cloned. Errors: timeout, capsule_lost. */
export async function connectGuest(options: ConnectOptions): Promise<GuestLink> {
  const clock = options.clock ?? systemClock;
  const timeoutMs = options.timeoutMs ?? 20_000;
  const deadline = clock.monotonicMs() + timeoutMs;
  const giveUp = new AbortController();
  const late = new AviaryError('timeout', `the guest agent did not answer within ${timeoutMs} ms`);
  const timer = setTimeout(() => giveUp.abort(late), timeoutMs);
  const opened: Connection[] = [];
  try {
    const open = async (path: string) => {
      const socket = await dial(path, { clock, deadline, signal: giveUp.signal });
      if (giveUp.signal.aborted) {
        socket.destroy();
        throw late;
      }
      const connection = connect(socket);
      opened.push(connection);
      return connection;
    };
    const [ctl, bulk] = await Promise.all([open(options.ctlPath), open(options.bulkPath)]);
    // Without an identity it is no copy: whatever an earlier host froze shall go on.
    const restored = options.identity ? sendRestore(ctl, options.identity) : sendThaw(ctl);
    const all = Promise.all([ctl.greeted, bulk.greeted, restored]);
    const [greeting] = await Promise.race([
      all,
      new Promise<never>((_resolve, reject) => {
        giveUp.signal.addEventListener('abort', () => reject(late), { once: true });
      }),
    ]);
    return assemble(ctl, bulk, greeting, options.log, clock);
  } catch (error) {
    giveUp.abort(error);
    for (const connection of opened) connection.close('it was not connected in full');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function sendRestore(ctl: Connection, identity: GuestIdentity): Promise<void> {
  await ctl.request("setting the capsule's identity", T.RESTORE, identityFields(identity));
}

async function sendThaw(ctl: Connection): Promise<void> {
  await ctl.request('letting its processes go on', T.THAW);
}

function assemble(
  ctl: Connection,
  bulk: Connection,
  greeting: Greeting,
  log: Logger,
  clock: Clock,
): GuestLink {
  const closed = Promise.race([ctl.closed, bulk.closed]);
  void closed.then((reason) => {
    ctl.close(reason); // half a link is none
    bulk.close(reason);
    log.debug({ reason }, 'guest link closed');
  });

  return {
    greeting,
    closed,
    close: () => {
      ctl.close('closed by this host');
      bulk.close('closed by this host');
    },
    restore: (identity) => sendRestore(ctl, identity),
    quiesce: async ({ freeze = false } = {}) => {
      const fields = freeze ? encodeFields([[F.FREEZE, true]]) : undefined;
      await Promise.all([ctl.request('quiescing', T.QUIESCE, fields), bulk.request('quiescing', T.QUIESCE)]);
    },
    thaw: () => sendThaw(ctl),
    exec: (request) =>
      follow(ctl, `starting ${request.argv[0] ?? 'nothing'}`, T.EXEC, execFields(request), {
        stdout: 0,
        stderr: 0,
      }),
    attach: (selector, from = {}) => attach(ctl, selector, from),
    processes: async () => decodeProcesses(await ctl.request('listing processes', T.PROCESSES)),
    kill: async (selector, signal) => {
      const fields = encodeFields([
        [F.SELECTOR, selector],
        [F.SIGNAL, toSignal(signal)],
      ]);
      await ctl.request(`sending ${signal} to ${selector}`, T.KILL, fields);
      if (signal === 'SIGKILL') await untilGone(ctl, selector, clock);
    },
    ...createFiles(bulk),
    metrics: async () => {
      const values = new Map<number, number>();
      eachField(await ctl.request('reading metrics', T.METRICS), (tag, value) =>
        values.set(tag, numberOf(value)),
      );
      const get = (tag: number) => values.get(tag) ?? 0;
      return {
        cpuPercent: get(F.CPU) / 100,
        memUsedBytes: get(F.MEM_USED),
        memTotalBytes: get(F.MEM_TOTAL),
        diskUsedBytes: get(F.DISK_USED),
        diskTotalBytes: get(F.DISK_TOTAL),
      };
    },
    ping: async () => {
      const start = clock.monotonicMs();
      await ctl.request('pinging', T.PING);
      return clock.monotonicMs() - start;
    },
  };
}

/** How long a killed process may take to be gone, e.g. in the middle of a write to disk; milliseconds. */
const DYING_MS = 2_000;

/** Nothing survives SIGKILL, but its end takes a moment: until then it is listed and has its tag. */
async function untilGone(ctl: Connection, selector: string, clock: Clock): Promise<void> {
  const deadline = clock.monotonicMs() + DYING_MS;
  const isIt = ({ pid, tag }: GuestProcessInfo) => tag === selector || String(pid) === selector;
  while (clock.monotonicMs() < deadline) {
    if (!decodeProcesses(await ctl.request('listing processes', T.PROCESSES)).some(isIt)) return;
    await clock.sleep(2);
  }
}

function attach(ctl: Connection, selector: string, from: { stdout?: number; stderr?: number }) {
  const stdout = from.stdout ?? 0;
  const stderr = from.stderr ?? 0;
  const fields = encodeFields([
    [F.SELECTOR, selector],
    [F.FROM_OUT, stdout],
    [F.FROM_ERR, stderr],
    [F.WINDOW, OUTPUT_WINDOW],
  ]);
  return follow(ctl, `attaching to ${selector}`, T.ATTACH, fields, { stdout, stderr });
}

function decodeProcesses(data: Buffer): GuestProcessInfo[] {
  const list: GuestProcessInfo[] = [];
  eachField(data, (tag, process) => {
    if (tag !== F.PROCESS) return;
    const info: GuestProcessInfo = { pid: 0, tag: '', cmd: '', args: [] };
    const argv: string[] = [];
    eachField(process, (field, value) => {
      if (field === F.PID) info.pid = numberOf(value);
      else if (field === F.TAG) info.tag = textOf(value);
      else if (field === F.ARG) argv.push(textOf(value));
    });
    info.cmd = argv.shift() ?? '';
    info.args = argv;
    list.push(info);
  });
  return list;
}
