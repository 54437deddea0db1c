/**
 * One instance per state directory. The lock is a unix socket that its holder listens on: it dies with the
 * process however that ends (kill -9 leaves a name nobody answers), works across containers that share the
 * directory, and can say who holds it.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
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

const NAME = 'instance.lock';
const ANSWER_MS = 1000;

/** Takes the lock of `dataDir`. Errors: conflict naming the holder. */
export async function lockDataDir(dataDir: string, holder: Holder): Promise<DataLock> {
  // sun_path holds 107 bytes, so the sockets are named through the directory's descriptor (proc(5))
  const fd = openSync(dataDir, 'r');
  const at = (name: string) => `/proc/self/fd/${fd}/${name}`;
  const temporary = `.${NAME}-${randomBytes(4).toString('hex')}`;
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(JSON.stringify(holder));
  });
  server.unref();
  const give = async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(at(temporary), { force: true });
    closeSync(fd);
  };
  try {
    await listening(server, at(temporary));
    for (let attempt = 0; ; attempt++) {
      if (claim(at(temporary), at(NAME))) break;
      const other = await ask(at(NAME));
      if (other !== null || attempt >= 10) throw held(dataDir, other);
      await discardStale(at(NAME), at(`${temporary}.stale`), dataDir);
    }
    rmSync(at(temporary), { force: true });
  } catch (error) {
    await give();
    throw error;
  }
  return {
    release: async () => {
      rmSync(at(NAME), { force: true });
      await give();
    },
  };
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

/**
 * Moves a name nobody answers out of the way. Another starter may have put its own there since we asked, so
 * what was moved is asked once more, and put back when it answers.
 */
async function discardStale(name: string, aside: string, dataDir: string): Promise<void> {
  try {
    renameSync(name, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const other = await ask(aside);
  if (other !== null) claim(aside, name);
  rmSync(aside, { force: true });
  if (other !== null) throw held(dataDir, other);
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

function held(dataDir: string, other: Holder | 'silent' | null): AviaryError {
  const who =
    other === null || other === 'silent'
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
