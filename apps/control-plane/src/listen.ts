/** The listen address. Used by the settings and the server. */

import { isLoopback } from '@aviary/surfaces/kit';

/** `host` is undefined for all addresses; `text` is what a person reads. */
export interface ListenAddress {
  host: string | undefined;
  port: number;
  text: string;
}

/** Parses `host:port`, `[v6]:port` or `:port`. Throws a sentence when it is none of them. */
export function parseListen(text: string): ListenAddress {
  const match = text.match(/^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new Error('must be host:port, [v6 address]:port or :port');
  const host = match[1] ?? match[2];
  return { host: host === '' ? undefined : host, port, text };
}

/** The address a person on this machine can open, e.g. http://127.0.0.1:8080. */
export function localUrl({ host }: ListenAddress, port: number): string {
  const everywhere = host === undefined || host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

/**
 * Names besides localhost that requests may be meant for; null for any. A browser on this machine can be made
 * to speak to a loopback address by any page, so there only configured names are good. Where others connect,
 * or a proxy stands in front, names are the operator's affair until some are configured.
 */
export function acceptedHosts(config: {
  listen: ListenAddress;
  hosts: readonly string[];
  trustProxy: number;
}): readonly string[] | null {
  if (config.hosts.length > 0) return config.hosts;
  const { host } = config.listen;
  const onlyLocal = host !== undefined && (isLoopback(host) || host === 'localhost');
  return onlyLocal && config.trustProxy === 0 ? [] : null;
}
