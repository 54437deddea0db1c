/** Connecting to a unix socket that another process is about to open. guest-link only. */
import { connect, type Socket } from 'node:net';
import { AviaryError, type Clock } from '@aviary/kernel';

const AGAIN = new Set(['ENOENT', 'ECONNREFUSED', 'EAGAIN']);
const PAUSE_MS = 2;

/** A connected socket; tries again while nobody listens yet. Errors: timeout. */
export async function dial(
  path: string,
  options: { clock: Clock; deadline: number; signal: AbortSignal },
): Promise<Socket> {
  for (;;) {
    const error = await new Promise<NodeJS.ErrnoException | Socket>((resolve) => {
      const socket = connect({ path });
      socket.once('connect', () => {
        socket.removeAllListeners('error');
        resolve(socket);
      });
      socket.once('error', resolve);
    });
    if (!(error instanceof Error)) return error;
    if (!AGAIN.has(error.code ?? '')) throw lost(error);
    if (options.clock.monotonicMs() >= options.deadline) throw late(error);
    await options.clock.sleep(PAUSE_MS, options.signal);
  }
}

function late(cause: Error): AviaryError {
  return new AviaryError('timeout', 'the machine did not open its ports in time', { cause });
}

function lost(cause: Error): AviaryError {
  return new AviaryError(
    'capsule_lost',
    `connecting to the guest agent failed: ${(cause as NodeJS.ErrnoException).code ?? cause.name}`,
    {
      cause,
      details: { reason: 'its agent cannot be reached' },
    },
  );
}
