/**
 * WebSocket upgrades through the same router, hooks and error bodies as every other request (RFC 6455).
 * Used by the HTTP server of the kit; the routes see {@link takeUpgrade}.
 */
import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@aviary/kernel';
import { WebSocketServer } from 'ws';
import { createSession, type SocketSession } from './session.ts';

interface Pending {
  socket: Duplex;
  head: Buffer;
  response: ServerResponse;
}

const pending = new WeakMap<IncomingMessage, Pending>();
const sessions = new Set<SocketSession>();

/** A pasted megabyte in base64 and some room; one message, bytes. */
const MAX_MESSAGE = 4 * 1024 * 1024;
const acceptor = new WebSocketServer({
  noServer: true,
  maxPayload: MAX_MESSAGE,
  perMessageDeflate: false,
  clientTracking: false,
});

/** Sends the server's upgrade requests through `handler`, as requests that a socket route may take over. */
export function routeUpgrades(server: Server, handler: RequestListener): void {
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      serveAsOrdinary(server, request, socket, head);
      return;
    }
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0]);
    response.on('finish', () => {
      response.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0]);
      // Node keeps sockets of HTTP servers half open: without this, one that is never closed from outside would stay
      socket.end(() => socket.destroy());
    });
    pending.set(request, { socket, head, response });
    handler(request, response);
  });
}

/** True when this request asks to become a WebSocket. */
export function wantsUpgrade(request: IncomingMessage): boolean {
  return pending.has(request);
}

/** Completes the handshake. The HTTP response of the request must not be used any more. */
export function takeUpgrade(request: IncomingMessage, clock: Clock): Promise<SocketSession> {
  const { socket, head, response } = pending.get(request)!;
  pending.delete(request);
  response.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0]);
  return new Promise((resolve, reject) => {
    // ws answers a malformed handshake by itself (400) and never calls back
    socket.once('close', () => reject(new Error('the handshake did not complete')));
    acceptor.handleUpgrade(request, socket, head, (ws) => {
      const session = createSession(ws, clock);
      sessions.add(session);
      session.closed.addEventListener('abort', () => sessions.delete(session));
      resolve(session);
    });
  });
}

/** Tells every open session that the server goes away (1001). */
export function closeSessions(): void {
  for (const session of sessions) session.close(1001, 'the server is shutting down');
}

/**
 * An upgrade we do not speak (h2c, as some HTTP clients offer with every request) is to be ignored
 * (RFC 9110 section 7.8). Node has already taken its parser off the socket, so the request is put back
 * without its Upgrade header and parsed again.
 */
function serveAsOrdinary(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!;
    if (!/^(upgrade|connection|http2-settings)$/i.test(name))
      lines.push(`${name}: ${request.rawHeaders[i + 1]}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}
