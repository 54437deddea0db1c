/** Who may call a route. Every route of every surface declares one of these; the kit enforces the credential. */
import type { Actor, TeamRole } from '@aviary/domain/identity';
import { AviaryError } from '@aviary/kernel';

/**
 * - `anyone`: no credential needed; the reason is part of the declaration.
 * - `account`: a person's token; an API key is no credential here.
 * - `team`: a person's token or a key of the team.
 *
 * `role` is the least role in the team (default member). The domain's policy decides it against the database;
 * it is declared here so that the walk over all routes can compare what is promised with what happens.
 */
export type Access =
  | { readonly who: 'anyone'; readonly because: string }
  | { readonly who: 'account'; readonly role?: TeamRole }
  | { readonly who: 'team'; readonly role?: TeamRole };

/** Throws `unauthorized` unless the actor's kind of credential satisfies the rule. Default deny. */
export function admit(access: Access, actor: Actor): void {
  switch (access.who) {
    case 'anyone':
      return;
    case 'account':
      if (actor.kind === 'user') return;
      throw new AviaryError(
        'unauthorized',
        actor.kind === 'apiKey'
          ? 'this needs the token of an account; an API key is no credential here'
          : 'this needs the token of an account: send it as "Authorization: Bearer <token>"',
      );
    case 'team':
      if (actor.kind === 'user' || actor.kind === 'apiKey') return;
      throw new AviaryError(
        'unauthorized',
        'this needs a credential: send "X-API-Key: <key>" or "Authorization: Bearer <token>"',
      );
  }
}
