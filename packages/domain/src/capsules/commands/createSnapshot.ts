/** Freezes a running capsule into a template of its team. */
import { newId, randomHex } from '@aviary/kernel';
import type { Actor } from '../../identity/index.ts';
import type { Parts } from '../deps.ts';
import { parseSnapshotName } from '../input.ts';
import type { CreateSnapshot, Template } from '../model.ts';
import { findTemplate, getTemplate } from '../queries.ts';
import { nameTaken, SNAPSHOT } from '../steps/snapshot.ts';
import { mustRun, runTransition } from '../transition.ts';

export async function createSnapshot(parts: Parts, actor: Actor, order: CreateSnapshot): Promise<Template> {
  const name = parseSnapshotName(order.name ?? `template-${randomHex(4, parts.random)}`);
  const overwrite = order.overwrite ?? false;
  let teamId = '';
  await runTransition(parts, actor, order.capsuleId, {
    action: 'template.create',
    transition: 'snapshotting',
    kind: SNAPSHOT,
    allowed: mustRun,
    begin: async (trx, capsule) => {
      teamId = capsule.teamId;
      if (!overwrite && (await findTemplate(trx, teamId, name))) throw nameTaken(name);
      const templateId = newId('template', parts.random);
      return { input: { templateId, name, overwrite, keepRunning: order.keepRunning ?? false } };
    },
  });
  return getTemplate(parts.db.kysely, teamId, name);
}
