/** Types of packages.mjs for the TypeScript side; the descriptions are there. */
export interface SystemPackage {
  readonly name: string;
  readonly why: string;
  readonly group: 'core' | 'guest-network' | 'build' | 'test';
  readonly programs: readonly string[];
}
export const SYSTEM_PACKAGES: readonly SystemPackage[];
export function packageOf(program: string): string | undefined;
export function installCommand(names: readonly string[]): string;
