/** Which events make cached answers untrue. Pure; inside the area. */
import type { Stale } from './parts.ts';

/** Drops what `event` made stale; everything for null (events may have been missed). */
export function onEvent(
  event: { type: string; resource: { id: string }; data: unknown } | null,
  drop: (what: Stale | null) => void,
  forgetSigningKeys: () => void,
): void {
  if (event === null) {
    drop(null);
    forgetSigningKeys();
  } else if (event.type === 'session.revoked') drop({ account: event.resource.id });
  else if (event.type === 'team.deleted') drop({ team: event.resource.id });
  else if (event.type.startsWith('team.member_'))
    drop({ account: (event.data as { accountId: string }).accountId });
  else if (event.type === 'apikey.deleted') drop({ key: event.resource.id });
  else if (event.type === 'signing_key.rotated') forgetSigningKeys();
}
