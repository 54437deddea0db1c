/** The listen address. Used by the settings and the server. */

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
