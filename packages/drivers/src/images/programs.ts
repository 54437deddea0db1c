/**
 * Finds the programs a build starts, and names the packages of those that are missing. Image builder only.
 * Asked before a build: programs started through others (setpriv, unshare) fail with a mere exit status.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { installCommand, packageOf } from '../../../../scripts/lib/packages.mjs';

/** PATH, and the directories of administrators, which ordinary users often lack (mke2fs lives there). */
export function searchPath(env: NodeJS.ProcessEnv = process.env): string {
  return [env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].join(delimiter);
}

/** Those of `programs` that are nowhere in `path`. */
export function missingPrograms(programs: readonly string[], path: string = searchPath()): string[] {
  const directories = path.split(delimiter).filter((directory) => directory !== '');
  return programs.filter(
    (program) => !directories.some((directory) => isExecutable(join(directory, program))),
  );
}

/** Throws missing_dependency unless every one of `programs` is there; `what` as in "cannot <what>: …". */
export function requirePrograms(what: string, programs: readonly string[], path?: string): void {
  const missing = missingPrograms(programs, path);
  if (missing.length > 0) throw notInstalled(what, missing);
}

/** The error that names `programs`, their packages and the command that installs them. */
export function notInstalled(what: string, programs: readonly string[], cause?: unknown): AviaryError {
  const packages = [...new Set(programs.flatMap((program) => packageOf(program) ?? []))];
  const hint = packages.length === 0 ? '' : `; install it: ${installCommand(packages)}`;
  const verb = programs.length === 1 ? 'is' : 'are';
  return new AviaryError(
    'missing_dependency',
    `cannot ${what}: ${programs.join(', ')} ${verb} not installed${hint}`,
    {
      details: { programs, packages },
      cause,
    },
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Absent, or in a directory we may not enter: both mean that we cannot start it.
  }
}
