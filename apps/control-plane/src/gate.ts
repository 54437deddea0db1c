/** The HTTP server from the first moment: answers "not yet, waiting for …" until the app takes over. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { AviaryError } from '@aviary/kernel';
import type { ListenAddress } from './listen.ts';

export interface Gate {
  readonly server: Server;
  /** The port really bound (AVIARY_LISTEN may say 0). */
  readonly port: number;
  /** What is waited for, for /healthz. */
  waitFor(what: string): void;
  /** From now on requests go to the app. */
  open(app: RequestListener): void;
  /** From now on new requests are refused and connections end after their request. */
  drain(): void;
}

/** Listens. Errors: conflict when the port is in use, invalid_request when the address is not ours. */
export async function openGate(listen: ListenAddress): Promise<Gate> {
  let waitsFor = 'the start';
  let draining = false;
  let app: RequestListener | null = null;
  const answering = new Set<ServerResponse>();
  const server = createServer(
    { keepAliveTimeout: 65_000, headersTimeout: 20_000, requestTimeout: 0 },
    (request, response) => {
      if (app !== null && !draining) {
        answering.add(response);
        response.on('close', () => answering.delete(response));
        return app(request, response);
      }
      const status = draining ? 'stopping' : 'starting';
      const body =
        request.url === '/healthz'
          ? { status, waits_for: draining ? 'running requests' : waitsFor }
          : { error: { code: draining ? 'shutting_down' : 'starting', message: `${status}: ${waitsFor}` } };
      response.writeHead(503, {
        'content-type': 'application/json; charset=utf-8',
        'retry-after': '1',
        connection: 'close',
      });
      response.end(JSON.stringify(body));
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, listen)));
    server.listen(
      { port: listen.port, ...(listen.host === undefined ? {} : { host: listen.host }) },
      resolve,
    );
  });
  const address = server.address();
  return {
    server,
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    waitFor: (what) => {
      waitsFor = what;
    },
    open: (handler) => {
      app = handler;
    },
    drain: () => {
      draining = true;
      waitsFor = 'try again at once on another instance';
      server.close();
      server.closeIdleConnections();
      for (const response of answering) {
        // its connection must not wait for another request when this one is answered
        response.shouldKeepAlive = false;
        response.on('close', () => setImmediate(() => server.closeIdleConnections()));
      }
    },
  };
}

function explain(error: NodeJS.ErrnoException, { text }: ListenAddress): AviaryError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new AviaryError(
        'conflict',
        `${text} is in use by another program; choose another with AVIARY_LISTEN`,
        { cause: error },
      );
    case 'EACCES':
      return new AviaryError(
        'forbidden',
        `${text} may not be bound by this user; ports below 1024 need root`,
        { cause: error },
      );
    default:
      return new AviaryError('invalid_request', `cannot listen on ${text}: ${error.message}`, {
        cause: error,
      });
  }
}
