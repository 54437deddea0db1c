/** The Fastify app all surfaces share: limits, request ids, security headers. Made by the control plane. */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { AviaryError, type Logger } from '@aviary/kernel';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { type ErrorTable, toWireError, type WireError } from './errors.ts';
import { checkHost } from './origin.ts';
import { routeUpgrades } from './upgrade.ts';

export interface ServerOptions {
  /** Listens already, or will; gets the app's requests through {@link HttpApp.handle}. */
  server: Server;
  log: Logger;
  /** How many proxies in front are believed what they add to X-Forwarded-For; 0 when there are none. */
  trustedHops: number;
  /** Names it answers to besides addresses and localhost; null for all. */
  hosts: readonly string[] | null;
  /** From here on a request is worth a line at info, ms; default 5000. */
  slowMs?: number;
  /** How requests outside every surface are refused. */
  fallback: { errors: ErrorTable; renderError(error: WireError): unknown };
}

/** Bytes of a JSON body unless the route says otherwise. */
export const BODY_LIMIT = 1024 * 1024;

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
} as const;

/** The app; register surfaces, then `ready()`, then pass requests to `app.routing`. */
export function createApp({
  server,
  log,
  trustedHops,
  hosts,
  slowMs = 5000,
  fallback,
}: ServerOptions): FastifyInstance {
  const app = Fastify({
    serverFactory: () => server,
    logger: false,
    // counted from our end: believing the whole header would let the client choose its address
    trustProxy: trustedHops === 0 ? false : (_address: string, hop: number) => hop < trustedHops,
    bodyLimit: BODY_LIMIT,
    routerOptions: { maxParamLength: 1024, caseSensitive: true },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)
        ? given
        : randomBytes(8).toString('hex');
    },
    frameworkErrors: (thrown, request, reply) => {
      const wire = toWireError(thrown, fallback.errors, request.id);
      const answer = reply as FastifyReply;
      answer.code(wire.status).type('application/json; charset=utf-8').send(fallback.renderError(wire));
    },
  });
  app.decorateRequest('actor', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS).header('x-request-id', request.id);
    checkHost(request, hosts);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, id, routeOptions } = request;
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    const fields = { method, route: routeOptions.url, status: reply.statusCode, ms, requestId: id };
    // failures have their own line, with the error; refusals are no news, anybody can cause any number of them
    if (ms >= slowMs) log.info(fields, 'slow request');
    else log.debug(fields, 'request');
  });
  app.setErrorHandler((thrown, request, reply) => {
    const wire = toWireError(thrown, fallback.errors, request.id);
    if (wire.error.code === 'internal') {
      log.error({ err: wire.error.cause ?? wire.error, requestId: request.id }, 'request failed');
    }
    return reply.code(wire.status).send(fallback.renderError(wire));
  });
  app.setNotFoundHandler(() => {
    throw new AviaryError('not_found', 'no such route; GET /openapi.json lists them');
  });
  routeUpgrades(server, (request, response) => app.routing(request, response));
  return app;
}
