/**
 * QEMU's machine protocol (QMP, qemu/docs/interop/qmp-spec.txt) over its unix socket: one command at a time,
 * in order. Inside the driver only.
 */
import { connect, type Socket } from 'node:net';
import { AviaryError } from '@aviary/kernel';

export interface Qmp {
  /** Runs a command; its return value. Errors: capsule_lost when QEMU is gone or refuses. */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Resolves when the connection ends, for whatever reason. */
  readonly closed: Promise<void>;
  close(): void;
}

interface Waiting {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** Connects and negotiates. Tries again while the socket is not there yet, until `deadlineMs` have passed. */
export async function connectQmp(path: string, deadlineMs = 10_000): Promise<Qmp> {
  const socket = await connectUnix(path, deadlineMs);
  const waiting: Waiting[] = [];
  let buffered = '';
  let greeted: () => void = () => undefined;
  const greeting = new Promise<void>((resolve) => {
    greeted = resolve;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));

  const take = (message: { return?: unknown; error?: { desc: string }; event?: string; QMP?: unknown }) => {
    if (message.QMP !== undefined) return greeted();
    if (message.event !== undefined) return;
    const next = waiting.shift();
    if (message.error) next?.reject(lost(`${next.command} was refused: ${message.error.desc}`));
    else next?.resolve(message.return);
  };
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    buffered += text;
    const lines = buffered.split('\n');
    buffered = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') take(JSON.parse(line));
  });
  socket.on('error', () => undefined); // 'close' follows and is handled below
  socket.once('close', () => {
    greeted();
    for (const { command, reject } of waiting.splice(0)) reject(lost(`QEMU went away during ${command}`));
  });

  const execute = (command: string, args: Readonly<Record<string, unknown>> = {}) =>
    new Promise<unknown>((resolve, reject) => {
      if (socket.destroyed) return reject(lost(`QEMU is gone; ${command} was not sent`));
      waiting.push({ command, resolve, reject });
      socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });

  await greeting;
  await execute('qmp_capabilities');
  return { execute, closed, close: () => socket.destroy() };
}

function lost(message: string): AviaryError {
  return new AviaryError('capsule_lost', message, { details: { reason: message } });
}

/** A unix socket that may appear only in a moment. */
async function connectUnix(path: string, deadlineMs: number): Promise<Socket> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const result = await attempt(path);
    if (!(result instanceof Error)) return result;
    if (performance.now() > end)
      throw lost(
        `QEMU did not open its control socket: ${(result as NodeJS.ErrnoException).code ?? result.name}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function attempt(path: string): Promise<Socket | Error> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', resolve);
  });
}
