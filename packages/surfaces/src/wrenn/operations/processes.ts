/** wrenn's process list and kill. */
import type { Capsules } from '@aviary/domain/capsules';
import type { GuestSignal } from '@aviary/protocol';
import { http } from '../../kit/index.ts';
import { toProcess } from '../translate.ts';

const TEAM = { who: 'team' } as const;

export const processOperations = (capsules: Capsules) => ({
  listProcesses: http({
    access: TEAM,
    handle: ({ actor, params }) =>
      capsules.use(actor, params['id']!, async (guest) => ({
        processes: (await guest.processes()).map(toProcess),
      })),
  }),
  killProcess: http({
    access: TEAM,
    handle: ({ actor, params, query }) =>
      capsules.use(actor, params['id']!, (guest) =>
        guest.kill(params['selector']!, (query['signal'] ?? 'SIGKILL') as GuestSignal),
      ),
  }),
});
