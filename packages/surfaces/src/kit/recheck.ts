/** Long sessions end with their credential: a terminal must not outlive the key that opened it. For socket routes. */
import type { Actor } from '@aviary/domain/identity';
import { AviaryError, type Clock, isAviaryError } from '@aviary/kernel';
import type { SocketSession } from './session.ts';

/** Between looks at the credential of an open session, ms. */
export const RECHECK_MS = 30_000;

/**
 * Resolves with what to tell the client when its credential was revoked (key deleted, password changed) or its
 * account left the team. That a token expired ends nothing: it was good when the session began. Rejects when
 * the session is over before.
 */
export async function untilRevoked(
  session: Pick<SocketSession, 'closed'>,
  prove: () => Promise<Actor | null>,
  clock: Clock,
): Promise<AviaryError> {
  for (;;) {
    await clock.sleep(RECHECK_MS, session.closed);
    try {
      const actor = await prove();
      if (actor?.kind === 'user' && actor.teamRole === null) {
        return new AviaryError('forbidden', 'the account is no longer in the team of this session');
      }
    } catch (error) {
      // what is away (the database) or too busy says nothing about the credential
      if (isAviaryError(error, 'unauthorized') && error.details['expired'] !== true) return error;
    }
  }
}
