/** Operation `template.remove`: the files of a deleted snapshot. */
import type { OperationHandler } from '../../operations/index.ts';
import type { Parts } from '../deps.ts';
import { hostOf } from '../host.ts';

export const REMOVE_SNAPSHOT = 'template.remove';

export function removeSnapshotHandler(parts: Parts): OperationHandler {
  return {
    kind: REMOVE_SNAPSHOT,
    run: async (ctx, input) => {
      await hostOf(parts, input as unknown as { hostId: string }).removeSnapshot(ctx.subject);
      return undefined;
    },
  };
}
