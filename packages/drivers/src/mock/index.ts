/**
 * A host without machines: capsules in memory, with a small file system and a few commands. For tests and for
 * trying the API where no capsule can run; it can be told to fail, and to let a capsule die.
 */
export { createMockHost, type MockHost, type MockHostOptions } from './host.ts';
