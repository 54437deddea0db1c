/** wrenn's exec/stream and processes/{selector}/stream (WebSocket). */
import type { Capsules } from '@aviary/domain/capsules';
import { AviaryError } from '@aviary/kernel';
import type { Guest, GuestProcess } from '@aviary/protocol';
import { SocketClosed, type SocketMessage, type SocketSession, socket } from '../../kit/index.ts';
import { toGuestExec } from '../exec-request.ts';
import { checkedStart } from './messages.ts';
import { pumpOutput, untilClosed } from './output.ts';

const TEAM = { who: 'team' } as const;

export const execStreams = (capsules: Capsules) => ({
  execStream: socket({
    access: TEAM,
    handle: ({ actor, params, upgrade }) =>
      capsules.use(actor, params['id']!, async (guest) => {
        const session = await upgrade();
        const start = await session.messages.next();
        if (start.done === true) return;
        const { body, stdin } = checkedStart(start.value);
        const process = await guest.exec({ ...toGuestExec(body), ...(stdin ? { stdin: true } : {}) });
        await follow(guest, process, session, true);
      }),
  }),
  connectProcess: socket({
    access: TEAM,
    handle: ({ actor, params, upgrade }) =>
      capsules.use(actor, params['id']!, async (guest) => {
        // before the upgrade, so that an unknown process is an ordinary 404
        const process = await guest.attach(params['selector']!);
        try {
          await follow(guest, process, await upgrade(), false);
        } finally {
          process.detach();
        }
      }),
  }),
});

/** `owned`: the process belongs to this session and ends with it; otherwise the session only listens. */
async function follow(
  guest: Guest,
  process: GuestProcess,
  session: SocketSession,
  owned: boolean,
): Promise<void> {
  const control = (async () => {
    for await (const message of session.messages) await obey(guest, process, message, owned);
    throw new SocketClosed();
  })();
  const gone = untilClosed(session);
  // each may lose the race and reject later, when nobody waits for it
  control.catch(() => undefined);
  gone.catch(() => undefined);
  try {
    await session.send({ type: 'start', pid: process.pid, tag: process.tag });
    const pump = pumpOutput(process, session);
    pump.catch(() => undefined);
    await Promise.race([pump, control, gone]);
  } catch (error) {
    if (owned) await guest.kill(String(process.pid), 'SIGKILL').catch(() => undefined);
    throw error;
  } finally {
    process.detach();
  }
}

async function obey(
  guest: Guest,
  process: GuestProcess,
  message: SocketMessage,
  owned: boolean,
): Promise<void> {
  switch (message.type) {
    case 'stop':
      if (!owned)
        throw new AviaryError('invalid_request', 'stop: use DELETE on the process; this only listens');
      return guest.kill(String(process.pid), 'SIGKILL');
    case 'stdin': {
      if (!owned || typeof message['data'] !== 'string') break;
      const encoding = message['encoding'] === 'base64' ? 'base64' : 'utf8';
      return process.write(Buffer.from(message['data'], encoding));
    }
    case 'close_stdin':
      if (!owned) break;
      return process.closeStdin();
  }
  throw new AviaryError(
    'invalid_request',
    `the message ${JSON.stringify(message.type.slice(0, 50))} is not understood here`,
  );
}
