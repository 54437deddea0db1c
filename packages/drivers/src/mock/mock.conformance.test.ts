/** The mock keeps every promise that real drivers keep. */
import { systemClock } from '@aviary/kernel';
import { capsuleHostConformance } from '../conformance/index.ts';
import { createMockHost } from './index.ts';

capsuleHostConformance('the mock', async () => {
  const host = createMockHost({ clock: systemClock });
  return { host, close: async () => host.close() };
});
