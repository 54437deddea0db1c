/**
 * `npm start`: the whole product on this machine. Plain Node, because on a fresh clone nothing else is there;
 * installs what is missing, then becomes the control plane. Arguments and environment are the control plane's.
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
if (ensureDebianPackages(root, ['core', 'guest-network']).length > 0) {
  say('starting without them: the API answers, capsules that need them do not start');
}
become(
  process.execPath,
  ['--import', 'tsx', join(root, 'apps/control-plane/src/main.ts'), ...process.argv.slice(2)],
  root,
);
