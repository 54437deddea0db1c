/** What the commands of the area work with, and the checks and records they share. Inside the area only. */
import type { Database, Trx } from '@aviary/db';
import { type AviaryError, type Clock, isAviaryError, type Logger, type RandomBytes } from '@aviary/kernel';
import type { CapsuleSpec } from '@aviary/protocol';
import type { CapsuleEventData, NewEvent } from '../events/index.ts';
import type { Hosts } from '../hosts/index.ts';
import { type Actor, type ActorRef, type Journal, requireTeam } from '../identity/index.ts';
import type { Json, Operations } from '../operations/index.ts';
import type { Activity } from './activity.ts';
import type { Capsule } from './model.ts';
import { type CapsuleAction, policy } from './policy.ts';

export interface CapsulesDeps {
  db: Database;
  journal: Journal<NewEvent>;
  operations: Operations;
  hosts: Hosts;
  clock: Clock;
  log: Logger;
  random?: RandomBytes;
}

/** With the area's own parts. */
export interface Parts extends CapsulesDeps {
  activity: Activity;
  /**
   * What create operations under way were ordered to make. Kept in memory only, because environment variables
   * hold secrets: a create cut off by a crash was not acknowledged and is taken back.
   */
  orders: Map<string, CapsuleSpec>;
}

/** Checks the policy and answers the team to look in: null for the product itself, which sees all. */
export async function authorize(
  parts: Pick<Parts, 'journal'>,
  actor: Actor,
  action: CapsuleAction,
  resource: { type: string; id: string } | null = null,
): Promise<string | null> {
  try {
    policy.check(actor, action);
    return actor.kind === 'system' ? null : requireTeam(actor);
  } catch (error) {
    if (isAviaryError(error)) {
      const teamId = actor.kind === 'user' || actor.kind === 'apiKey' ? actor.teamId : null;
      await parts.journal.refused({ action, outcome: 'refused', actor, teamId, resource });
    }
    throw error;
  }
}

type CapsuleRef = Pick<Capsule, 'id' | 'teamId'>;

/** Audit row of a change that somebody asked for, in its transaction. */
export async function recordAudit(
  parts: Pick<Parts, 'journal'>,
  trx: Trx,
  actor: Actor,
  action: CapsuleAction,
  capsule: CapsuleRef,
): Promise<void> {
  const resource = { type: 'capsule', id: capsule.id };
  await parts.journal.audit(trx, { action, outcome: 'done', actor, teamId: capsule.teamId, resource });
}

/** An event of a capsule, in the transaction of its change. */
export async function recordEvent<Type extends keyof CapsuleEventData>(
  parts: Pick<Parts, 'journal'>,
  trx: Trx,
  actor: ActorRef,
  capsule: CapsuleRef,
  type: Type,
  data: CapsuleEventData[Type],
): Promise<void> {
  const resource = { type: type.startsWith('template.') ? 'template' : 'capsule', id: capsule.id };
  await parts.journal.event(trx, { type, data, teamId: capsule.teamId, actor, resource } as NewEvent);
}

/** What an operation must know of who asked for it. */
export interface Asked {
  readonly actor: { readonly type: ActorRef['type']; readonly id: string; readonly name: string };
  readonly [key: string]: Json;
}

/** The reason of a failure as people read it. */
export function reasonOf(error: Pick<AviaryError, 'message'>): string {
  return error.message.slice(0, 500);
}
