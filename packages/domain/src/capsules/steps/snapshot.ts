/** Operation `template.snapshot`: a template of a running capsule, which then ends unless it is to run on. */
import { isUniqueViolation } from '@aviary/db';
import { AviaryError } from '@aviary/kernel';
import type { OperationHandler } from '../../operations/index.ts';
import { type Asked, type Parts, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { findTemplate, getCapsule } from '../queries.ts';
import { deleteTemplate, insertTemplate, updateCapsule } from '../store.ts';

export const SNAPSHOT = 'template.snapshot';

interface SnapshotInput extends Asked {
  templateId: string;
  name: string;
  overwrite: boolean;
  keepRunning: boolean;
}

export function snapshotHandler(parts: Parts): OperationHandler {
  return {
    kind: SNAPSHOT,
    run: async (ctx, input) => {
      const { actor, templateId, name, overwrite, keepRunning } = input as unknown as SnapshotInput;
      const capsule = await getCapsule(parts.db.kysely, ctx.subject, null);
      const { teamId, hostId } = capsule;
      const host = hostOf(parts, capsule);
      let replaced: string | null = null;
      try {
        const made = await host.snapshot(capsule.id, templateId);
        await ctx.finish(async (trx) => {
          const now = parts.clock.now();
          const before = await findTemplate(trx, teamId, name);
          if (before && !overwrite) throw nameTaken(name);
          if (before) await deleteTemplate(trx, before.id);
          replaced = before?.id ?? null;
          const { vcpus, memoryMb, diskMb, sizeBytes } = made;
          const sizes = { vcpus, memoryMb, diskMb, sizeBytes };
          await insertTemplate(trx, {
            id: templateId,
            name,
            type: 'snapshot',
            teamId,
            hostId,
            ...sizes,
            createdAt: now,
          });
          const about = { id: templateId, teamId };
          await recordEvent(parts, trx, actor, about, 'template.snapshot.created', {
            name,
            sizeBytes,
            capsuleId: capsule.id,
          });
          if (keepRunning) await updateCapsule(trx, capsule.id, { transition: null }, now);
          else {
            await updateCapsule(trx, capsule.id, { status: 'stopped', transition: null }, now);
            await parts.hosts.release(trx, capsule.id);
            await recordEvent(parts, trx, actor, capsule, 'capsule.destroyed', { reason: 'snapshot' });
          }
          return { templateId };
        });
      } catch (error) {
        await host.removeSnapshot(templateId);
        throw isUniqueViolation(error, 'template_name') ? nameTaken(name) : error;
      }
      if (replaced !== null) await host.removeSnapshot(replaced);
      if (!keepRunning) {
        await host.destroy(capsule.id);
        parts.activity.forget(capsule.id);
      }
      return undefined;
    },
    failed: async (trx, { subject }) => {
      await updateCapsule(trx, subject, { transition: null }, parts.clock.now());
    },
  };
}

export function nameTaken(name: string): AviaryError {
  return new AviaryError(
    'template_name_taken',
    `there is a template ${name} already; choose another name or overwrite it`,
  );
}
