/**
 * `npm run bench`: installs what the comparison needs, then becomes bench/main.ts. Plain Node, like start.mjs.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { become } from './lib/child.mjs';
import { ensureDebianPackages } from './lib/debian.mjs';
import { nodeTooOld } from './lib/node.mjs';
import { ensureNpmPackages } from './lib/npm.mjs';
import { say } from './lib/say.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

const tooOld = nodeTooOld(process.version);
if (tooOld !== undefined) {
  say(tooOld);
  process.exit(1);
}
if (!ensureNpmPackages(root)) process.exit(1);
const missing = ensureDebianPackages(root, ['core', 'guest-network', 'test', 'bench']);
if (missing.length > 0) {
  say('the comparison cannot run without them');
  process.exit(1);
}
become(process.execPath, ['--import', 'tsx', join(root, 'bench/main.ts'), ...process.argv.slice(2)], root);
