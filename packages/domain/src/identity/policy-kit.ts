/**
 * Rules and the default-deny check every area's `policy.ts` is made of: one table, action -> who may.
 * What is not in the table does not compile; who is not named by the rule is refused. Pure.
 */
import { AviaryError } from '@aviary/kernel';
import type { Actor } from './actor.ts';

/** Decides for one action. Looks at the actor only; whose object it is, the query decides (`not_found`). */
export type Rule = (actor: Actor) => boolean;

/** Everybody, with or without credential. */
export const anyone: Rule = () => true;
/** A person with a session, whatever team. */
export const signedIn: Rule = (actor) => actor.kind === 'user';
/** A member of the session's team, whatever role. */
export const teamMember: Rule = (actor) => actor.kind === 'user' && actor.teamRole !== null;
/** An admin or the owner of the session's team. */
export const teamAdmin: Rule = (actor) =>
  actor.kind === 'user' && (actor.teamRole === 'admin' || actor.teamRole === 'owner');
/** The owner of the session's team. */
export const teamOwner: Rule = (actor) => actor.kind === 'user' && actor.teamRole === 'owner';
/** A member, or one of the team's API keys. */
export const teamMemberOrKey: Rule = (actor) => actor.kind === 'apiKey' || teamMember(actor);
/** An admin of the installation. */
export const platformAdmin: Rule = (actor) => actor.kind === 'user' && actor.platformRole === 'admin';
/** Only the product itself. */
export const systemOnly: Rule = () => false;

/** A table of rules and its check. */
export interface Policy<Action extends string> {
  readonly rules: Readonly<Record<Action, Rule>>;
  /** Errors: unauthorized when nobody is refused, forbidden for everybody else. The system may everything. */
  check(actor: Actor, action: Action): void;
  allows(actor: Actor, action: Action): boolean;
}

/** A policy from its table. */
export function definePolicy<Action extends string>(rules: Readonly<Record<Action, Rule>>): Policy<Action> {
  const allows = (actor: Actor, action: Action) => actor.kind === 'system' || rules[action]?.(actor) === true;
  return {
    rules,
    allows,
    check: (actor, action) => {
      if (allows(actor, action)) return;
      if (actor.kind === 'nobody') throw new AviaryError('unauthorized', `${action}: log in first`);
      throw new AviaryError('forbidden', `${action}: your role does not allow this`);
    },
  };
}
