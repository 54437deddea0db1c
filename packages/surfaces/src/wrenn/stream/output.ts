/** Pumps a process's output to a session at the pace of the slower of both. Used by the streaming routes. */
import type { GuestProcess } from '@aviary/protocol';
import { createUtf8Splitter, type Piece, type SocketSession } from '../../kit/index.ts';

/**
 * Sends stdout and stderr as they come, then the exit. Text stays text across chunk boundaries; what is no
 * UTF-8 goes as base64 with `encoding`. Rejects with SocketClosed when the client is gone.
 */
export async function pumpOutput(process: GuestProcess, session: SocketSession): Promise<void> {
  const splitters = { stdout: createUtf8Splitter(), stderr: createUtf8Splitter() };
  const say = (type: 'stdout' | 'stderr', piece: Piece | null) =>
    piece === null ? undefined : session.send({ type, ...piece });
  for await (const { stream, data, lost } of process.output) {
    const type = stream === 'stderr' ? 'stderr' : 'stdout';
    if (lost > 0) {
      await say(type, splitters[type].end());
      await session.send({ type: 'lost', stream: type, bytes: lost });
    }
    await say(type, splitters[type].push(data));
  }
  await say('stdout', splitters.stdout.end());
  await say('stderr', splitters.stderr.end());
  await session.send({ type: 'exit', exit_code: (await process.exit).code });
}

/** Rejects when the client is gone, so that waiting for a silent process ends too. */
export function untilClosed(session: SocketSession): Promise<never> {
  return new Promise((_, reject) => {
    if (session.closed.aborted) reject(session.closed.reason);
    session.closed.addEventListener('abort', () => reject(session.closed.reason), { once: true });
  });
}
