/** The orderly end: finish what runs, close what is open, leave capsules running. Used by main. */
import type { Socket } from 'node:net';
import type { Logger, Revert } from '@aviary/kernel';
import { closeSessions } from '@aviary/surfaces/kit';
import type { Gate } from './gate.ts';

/** Running requests have this long to end, ms. */
const DRAIN_MS = 10_000;

/**
 * Prepares the end; the returned function brings it, once. A start that is still under way (`starting`) is
 * waited for before anything is closed: what it opens meanwhile would be left behind.
 */
export function prepareShutdown(
  gate: Gate,
  closers: Revert,
  log: Logger,
): (starting?: Promise<unknown>) => Promise<void> {
  const sockets = new Set<Socket>();
  gate.server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  let ending: Promise<void> | null = null;
  const end = async (starting: Promise<unknown>) => {
    const drained = new Promise<boolean>((resolve) => {
      gate.server.once('close', () => resolve(true));
      setTimeout(resolve, DRAIN_MS, false).unref();
    });
    gate.drain();
    closeSessions();
    if (!(await drained))
      log.warn({ connections: sockets.size }, 'requests were cut off at the end of the drain');
    for (const socket of sockets) socket.destroy();
    await Promise.allSettled([starting]);
    await closers.run();
  };
  return (starting = Promise.resolve()) => {
    ending ??= end(starting);
    return ending;
  };
}
