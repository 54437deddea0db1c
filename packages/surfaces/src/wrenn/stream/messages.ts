/** Checks of the messages clients send over wrenn's WebSockets. Errors: invalid_request naming the field. */
import { AviaryError, invalidField } from '@aviary/kernel';
import { refuseUnstorable, type SocketMessage } from '../../kit/index.ts';
import type { ExecRequest } from '../wire.ts';

/** The first message of exec/stream. `stdin: true` (ours) keeps the input open for `stdin` messages. */
export function checkedStart(message: SocketMessage): { body: ExecRequest; stdin: boolean } {
  if (message.type !== 'start') {
    throw new AviaryError('invalid_request', 'the first message must be {"type":"start","cmd":…}');
  }
  const cmd = message['cmd'];
  if (typeof cmd !== 'string') throw invalidField('cmd', 'is required');
  return { body: { ...optionsOf(message), cmd }, stdin: message['stdin'] === true };
}

/** args, envs, cwd and user of a start message. */
export function optionsOf(message: SocketMessage): Omit<ExecRequest, 'cmd'> {
  const { args, envs, cwd, user } = message;
  refuseUnstorable({ args, envs, cwd, user, cmd: message['cmd'] });
  const options: Omit<ExecRequest, 'cmd'> = {};
  if (args !== undefined && args !== null) {
    if (!Array.isArray(args) || !args.every((a) => typeof a === 'string')) {
      throw invalidField('args', 'must be an array of strings');
    }
    options.args = args;
  }
  if (envs !== undefined && envs !== null) {
    if (
      typeof envs !== 'object' ||
      Array.isArray(envs) ||
      !Object.values(envs).every((v) => typeof v === 'string')
    ) {
      throw invalidField('envs', 'must be an object of strings');
    }
    options.envs = envs as Record<string, string>;
  }
  const cwdText = textOf('cwd', cwd);
  if (cwdText !== undefined) options.cwd = cwdText;
  const userText = textOf('user', user);
  if (userText !== undefined) options.user = userText;
  return options;
}

/** A string, or undefined when absent or empty. */
export function textOf(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalidField(field, 'must be a string');
  return value;
}

/** Columns or rows of a terminal. */
export function sizeOf(field: string, value: unknown, fallback?: number): number {
  if ((value === undefined || value === null) && fallback !== undefined) return fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 4096) {
    throw invalidField(field, 'must be an integer from 1 to 4096');
  }
  return value;
}
