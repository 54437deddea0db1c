/**
 * One instance per state directory. The lock is a unix socket that its holder listens on: it dies with the
 * process however that ends (kill -9 leaves a name nobody answers), works across containers that share the
 * directory, and can say who holds it.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { AviaryError } from '@aviary/kernel';

/** Who holds a lock, as the holder says itself. */
export interface Holder {
  pid: number;
  since: string;
}

export interface DataLock {
  release(): Promise<void>;
}

const PREFIX = 'instance.lock.';
const ANSWER_MS = 1000;

/**
 * Takes the lock of `dataDir`. Errors: conflict naming the holder.
 *
 * Names are numbered. Who finds the highest one dead claims the next by link(2), which only one can; names are
 * never reused, so a dead one can be removed by its successor without anybody mistaking a live one for it.
 */
export async function lockDataDir(dataDir: string, holder: Holder): Promise<DataLock> {
  // sun_path holds 107 bytes, so the sockets are named through the directory's descriptor (proc(5))
  const fd = openSync(dataDir, 'r');
  const at = (name: string) => `/proc/self/fd/${fd}/${name}`;
  const temporary = at(`.${PREFIX}${randomBytes(4).toString('hex')}`);
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(JSON.stringify(holder));
  });
  server.unref();
  const release = async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(temporary, { force: true });
    closeSync(fd);
  };
  try {
    await listening(server, temporary);
    for (;;) {
      const highest = Math.max(0, ...claims(dataDir));
      const other = highest === 0 ? null : await ask(at(`${PREFIX}${highest}`));
      if (other !== null) throw held(dataDir, other);
      const mine = highest + 1;
      if (!claim(temporary, at(`${PREFIX}${mine}`))) continue;
      // a starter that was slow may have claimed a number long since passed
      const after = claims(dataDir);
      if (Math.max(...after) > mine) {
        rmSync(at(`${PREFIX}${mine}`), { force: true });
        continue;
      }
      for (const number of after) if (number < mine) rmSync(at(`${PREFIX}${number}`), { force: true });
      rmSync(temporary, { force: true });
      // the name stays after the release: the next holder takes the next number
      return { release };
    }
  } catch (error) {
    await release();
    throw error;
  }
}

/** The numbers of all names, dead or alive. */
function claims(dataDir: string): number[] {
  return readdirSync(dataDir)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => Number(name.slice(PREFIX.length)))
    .filter(Number.isSafeInteger);
}

function claim(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The holder behind a socket; null when nobody listens. */
function ask(path: string): Promise<Holder | 'silent' | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.setEncoding('utf8').setTimeout(ANSWER_MS);
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('timeout', () => {
      socket.destroy();
      resolve('silent');
    });
    socket.on('end', () => resolve(parseHolder(text)));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(null);
      else if (error.code === 'ECONNRESET') resolve('silent');
      else reject(error);
    });
  });
}

function parseHolder(text: string): Holder | 'silent' {
  const match = text.match(/^\{"pid":(\d+),"since":"([^"]+)"\}$/);
  return match === null ? 'silent' : { pid: Number(match[1]), since: match[2]! };
}

function held(dataDir: string, other: Holder | 'silent'): AviaryError {
  const who =
    other === 'silent'
      ? 'another instance, which does not say who it is'
      : `process ${other.pid}, started ${other.since}`;
  return new AviaryError(
    'conflict',
    `${dataDir} is in use by ${who}; stop it first, or give this one a directory of its own with AVIARY_DATA`,
  );
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
