/** wrenn's pty (WebSocket): an interactive terminal that outlives its connection. */
import type { Capsules } from '@aviary/domain/capsules';
import { AviaryError, type Clock, invalidField, isAviaryError } from '@aviary/kernel';
import type { Guest, GuestProcess } from '@aviary/protocol';
import { SocketClosed, type SocketMessage, type SocketSession, socket } from '../../kit/index.ts';
import { toGuestExec } from '../exec-request.ts';
import { optionsOf, sizeOf, textOf } from './messages.ts';
import { untilClosed } from './output.ts';

/** Without input or resize for this long the connection is closed; the process goes on. ms */
export const INACTIVITY_MS = 120_000;
/** Between pings, ms. */
export const PING_MS = 30_000;

export const ptyStream = (capsules: Capsules, clock: Clock) => ({
  ptySession: socket({
    access: { who: 'team' },
    handle: ({ actor, params, upgrade }) =>
      capsules.use(actor, params['id']!, async (guest) => {
        const session = await upgrade();
        const first = await session.messages.next();
        if (first.done === true) return;
        const process = await open(guest, first.value);
        try {
          await session.send({ type: 'started', tag: process.tag, pid: process.pid });
          await attend(guest, process, session, clock);
        } finally {
          process.detach();
        }
      }),
  }),
});

async function open(guest: Guest, message: SocketMessage): Promise<GuestProcess> {
  if (message.type === 'connect') {
    const tag = textOf('tag', message['tag']);
    if (tag === undefined) throw invalidField('tag', 'is required');
    return guest.attach(tag);
  }
  if (message.type !== 'start') {
    throw new AviaryError('invalid_request', 'the first message must have the type start or connect');
  }
  const pty = { cols: sizeOf('cols', message['cols'], 80), rows: sizeOf('rows', message['rows'], 24) };
  const options = optionsOf(message);
  const cmd = textOf('cmd', message['cmd']);
  const envs = { TERM: 'xterm-256color', ...options.envs };
  const request = toGuestExec({ ...options, envs, cmd: cmd ?? (await defaultShell(guest)) });
  return guest.exec({ ...request, pty, background: true });
}

/** The contract's default is /bin/bash; an image without it has /bin/sh. */
async function defaultShell(guest: Guest): Promise<string> {
  try {
    await guest.stat('/bin/bash');
    return '/bin/bash';
  } catch (error) {
    if (isAviaryError(error, 'file_not_found', 'not_a_directory')) return '/bin/sh';
    throw error;
  }
}

/** Until the process ends, the client leaves, or nothing was typed for too long. */
async function attend(
  guest: Guest,
  process: GuestProcess,
  session: SocketSession,
  clock: Clock,
): Promise<void> {
  const done = new AbortController();
  let lastInput = clock.monotonicMs();

  const output = async () => {
    for await (const { data } of process.output) {
      await session.send({ type: 'output', data: data.toString('base64') });
    }
    await session.send({ type: 'exit', exit_code: (await process.exit).code });
  };
  const input = async () => {
    for await (const message of session.messages) {
      if (message.type === 'input' || message.type === 'resize') lastInput = clock.monotonicMs();
      await obey(guest, process, message);
    }
    throw new SocketClosed();
  };
  const heartbeat = async () => {
    for (;;) {
      const idle = clock.monotonicMs() - lastInput;
      if (idle >= INACTIVITY_MS) {
        throw new AviaryError(
          'timeout',
          'no input for 120 s; the process goes on, connect again with its tag',
        );
      }
      await clock.sleep(Math.min(PING_MS, INACTIVITY_MS - idle), done.signal);
      await session.send({ type: 'ping' });
    }
  };
  const parts = [output(), input(), heartbeat(), untilClosed(session)];
  // the losers of the race end when the session does, and nobody waits for them then
  for (const part of parts) part.catch(() => undefined);
  try {
    await Promise.race(parts);
  } finally {
    done.abort(new SocketClosed());
  }
}

async function obey(guest: Guest, process: GuestProcess, message: SocketMessage): Promise<void> {
  switch (message.type) {
    case 'input': {
      const data = message['data'];
      if (typeof data !== 'string') throw invalidField('data', 'must be base64');
      return process.write(Buffer.from(data, 'base64'));
    }
    case 'resize':
      return process.resize(sizeOf('cols', message['cols']), sizeOf('rows', message['rows']));
    case 'kill':
      return guest.kill(String(process.pid), 'SIGKILL');
    case 'pong':
    case 'ping':
      return;
    default:
      throw new AviaryError(
        'invalid_request',
        `the message ${JSON.stringify(message.type.slice(0, 50))} is not understood here`,
      );
  }
}
