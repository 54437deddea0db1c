/** Types of build-agent.mjs, for tests and composition roots. */
export const CFLAGS: string[];
/** SHA-256 (hex) over the agent's sources and compiler flags. */
export function sourceHash(): Promise<string>;
/** Source hash that the prebuilt binary was made from. */
export function prebuiltHash(): Promise<string>;
/** Compiles to `path`; rejects when gcc is missing (ENOENT) or refuses. */
export function compileAgent(path: string, flags?: string[]): Promise<void>;
/** Makes sure that an executable agent is at `path`. */
export function ensureAgent(path: string): Promise<'kept' | 'compiled' | 'prebuilt'>;
