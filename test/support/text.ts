/** What a stream's client would show. For the system tests. */
import type { Message } from '../contract/sockets.ts';

/** Everything of one kind so far, bytes restored: `encoding` says when a piece is base64. */
export function bytes({ all }: { readonly all: readonly Message[] }, type: 'stdout' | 'stderr'): Buffer {
  const pieces = all.filter((message) => message.type === type);
  return Buffer.concat(
    pieces.map(({ data, encoding }) => Buffer.from(String(data), encoding === 'base64' ? 'base64' : 'utf8')),
  );
}

/** The same as text. */
export const text = (socket: { readonly all: readonly Message[] }, type: 'stdout' | 'stderr'): string =>
  bytes(socket, type).toString();

/** What a terminal printed so far. */
export const screen = ({ all }: { readonly all: readonly Message[] }): string =>
  all
    .filter(({ type }) => type === 'output')
    .map(({ data }) => Buffer.from(String(data), 'base64').toString('latin1'))
    .join('');
