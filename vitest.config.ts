/** The two kinds of tests. `unit`: many at once in threads. `system`: boots machines or the whole product, one by one. */
import { defineConfig } from 'vitest/config';

const TESTS = ['packages/**/*.test.ts', 'apps/**/*.test.ts', 'guest/**/*.test.ts', 'scripts/**/*.test.ts'];
const ARCHITECTURE = 'test/architecture.test.ts';
const SYSTEM = ['**/*.e2e.test.ts', 'test/**/*.test.ts'];
const NEVER = ['**/node_modules/**', '.cache/**'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [...TESTS, ARCHITECTURE],
          exclude: ['**/*.e2e.test.ts', ...NEVER],
          pool: 'threads',
          isolate: false,
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: SYSTEM,
          exclude: [ARCHITECTURE, ...NEVER],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          // Emulated machines on a busy one take their time; what must be quick is measured where it is asserted.
          expect: { poll: { timeout: 10_000 } },
          hookTimeout: 600_000,
          // After the unit tests when both are run by one command.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
