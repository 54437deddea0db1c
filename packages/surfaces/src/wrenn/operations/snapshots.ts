/** wrenn's snapshot (template) operations. */
import type { Capsules, Template } from '@aviary/domain/capsules';
import { http } from '../../kit/index.ts';
import { fromNewSnapshot, toTemplate } from '../translate.ts';
import type { CreateSnapshotRequest } from '../wire.ts';

const TEAM = { who: 'team' } as const;

export const snapshotOperations = (capsules: Capsules) => ({
  createSnapshot: http<CreateSnapshotRequest>({
    access: TEAM,
    handle: async ({ actor, body, query }) =>
      toTemplate(await capsules.createSnapshot(actor, fromNewSnapshot(body, query['overwrite'] === 'true'))),
  }),
  listSnapshots: http({
    access: TEAM,
    handle: async ({ actor, query }) =>
      (await capsules.listTemplates(actor, query['type'] as Template['type'] | undefined)).map(toTemplate),
  }),
  deleteSnapshot: http({
    access: TEAM,
    handle: ({ actor, params }) => capsules.deleteTemplate(actor, params['name']!),
  }),
});
