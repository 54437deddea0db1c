/** The published documents are as they were published: additions belong beside the surface. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('../../contracts/', import.meta.url);
const readme = readFileSync(new URL('README.md', folder), 'utf8');

it.each(readdirSync(folder).filter((name) => name !== 'README.md'))('%s is unchanged', (name) => {
  const digest = createHash('sha256')
    .update(readFileSync(new URL(name, folder)))
    .digest('hex');
  expect(readme.split('\n').find((line) => line.includes(`| ${name} |`))).toContain(digest);
});
