/** The leaf of the house: everybody may import it, it imports nobody. */
export * from './clock.ts';
export * from './errors.ts';
export * from './ids.ts';
export * from './logger.ts';
export * from './revert.ts';
