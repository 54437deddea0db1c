/**
 * Where a request comes from and whom it is meant for: local clients, and the names in Host. For the server of
 * the kit and for routes that answer this machine only.
 */
import { isIP } from 'node:net';
import { AviaryError } from '@aviary/kernel';
import type { FastifyRequest } from 'fastify';

/** Headers that say somebody passed the request on: its sender is not who connected. */
const PASSED_ON = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'via'];

/** True for 127.0.0.0/8 and ::1, also as IPv4-mapped IPv6. */
export function isLoopback(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:/, '');
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/** True when a program of this machine sent it itself, not through a proxy. Looks at the connection, never at claims. */
export function isLocal({ raw }: FastifyRequest): boolean {
  const { remoteAddress } = raw.socket;
  if (remoteAddress === undefined || !isLoopback(remoteAddress)) return false;
  return PASSED_ON.every((name) => raw.headers[name] === undefined);
}

/**
 * Refuses requests that are meant for another name. A page in a browser can have its own name resolve to this
 * address (DNS rebinding) and would then speak to us as if it were ours; the name in Host gives it away, since
 * a browser does not let pages choose it. Addresses and localhost are always good. `names` null: any name.
 * Errors: invalid_request (several Host headers, RFC 9112 section 3.2), misdirected.
 */
export function checkHost({ raw }: FastifyRequest, names: readonly string[] | null): void {
  let seen = 0;
  for (let i = 0; i < raw.rawHeaders.length; i += 2) {
    if (raw.rawHeaders[i]!.length === 4 && raw.rawHeaders[i]!.toLowerCase() === 'host') seen++;
  }
  if (seen > 1) throw new AviaryError('invalid_request', 'Host: is given more than once');
  // HTTP/1.0 needs none, and no browser leaves it out
  if (names === null || raw.headers.host === undefined) return;
  const name = hostName(raw.headers.host);
  if (name !== null && (isIP(name) !== 0 || isLocalName(name) || names.includes(name))) return;
  throw new AviaryError(
    'misdirected',
    'this instance does not answer to the name in the Host header; AVIARY_HOSTS lists the names it should answer to',
  );
}

function isLocalName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** The name of `name:port`, `[v6]:port`: lower case, without brackets and the root's dot; null when it is none. */
export function hostName(host: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host);
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? null : name.toLowerCase().replace(/\.$/, '');
}
