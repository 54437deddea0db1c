/**
 * Reads the recipe of a root file system: a directory of guest/images/ with a recipe.json and a customize.sh.
 * Image builder only.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AviaryError } from '@aviary/kernel';
import { keyOf } from './cache.ts';

/** Where the recipes are. */
const RECIPES = fileURLToPath(new URL('../../../../guest/images/', import.meta.url));

/** The data of a recipe.json. */
export interface Recipe {
  /** One sentence for people. */
  description: string;
  /** Debian release. */
  suite: string;
  /** Size of the file system, GiB; capsules with larger disks grow it at start. */
  diskGib: number;
  /** Debian packages on top of the essential ones. */
  packages: string[];
  /** Paths that dpkg leaves out, and exceptions from that. */
  exclude: string[];
  include: string[];
}

/** A recipe with the script that finishes the tree and the hash of all its files. */
export interface LoadedRecipe extends Recipe {
  name: string;
  hash: string;
  /** Path of an executable that gets the root directory as its argument. */
  customize: string;
}

/** Errors: template_not_found when there is no recipe of that name. */
export async function loadRecipe(name: string): Promise<LoadedRecipe> {
  const names = await readdir(RECIPES);
  if (!names.includes(name)) {
    throw new AviaryError(
      'template_not_found',
      `there is no base image ${name}; there are: ${names.join(', ')}`,
    );
  }
  const dir = join(RECIPES, name);
  const parts: (string | Uint8Array)[] = [];
  for (const file of (await readdir(dir)).sort()) parts.push(file, await readFile(join(dir, file)));
  const recipe = JSON.parse(await readFile(join(dir, 'recipe.json'), 'utf8')) as Recipe;
  return { ...recipe, name, hash: keyOf(...parts), customize: join(dir, 'customize.sh') };
}
