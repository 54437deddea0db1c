/** Puts a declared surface on a Fastify app: credentials, checks, rendering, for every operation alike. */
import type { IncomingMessage } from 'node:http';
import type { Actor } from '@aviary/domain/identity';
import { AviaryError, type Clock, type ErrorCode, type Logger } from '@aviary/kernel';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { admit } from './access.ts';
import { type LocatedOperation, operationsOf } from './contract.ts';
import { toWireError } from './errors.ts';
import { refuseUnknown } from './not-found.ts';
import { acceptBodies } from './parsers.ts';
import { runSocket } from './socket-route.ts';
import type { Operation, Surface } from './surface.ts';
import { createValidator, type RequestChecks } from './validate.ts';

export interface MountOptions {
  log: Logger;
  clock: Clock;
  /** A body of which nothing arrives for this long is given up, and its connection with it. ms; default 120 s */
  bodyIdleMs?: number;
}

/** Where no credential is needed the whole body must be here by then: dripping holds nothing for free. ms */
export const OPEN_BODY_MS = 30_000;

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it; set by the kit before the body is read. */
    actor: Actor | null;
  }
}

/** One mounted route, for the walk over all routes and the document of what is served. */
export interface MountedRoute {
  surface: string;
  located: LocatedOperation;
  declared: Operation;
}

/** Mounts the surface under its prefix. Throws when an operation is declared that its contract does not have. */
export async function mountSurface(
  app: FastifyInstance,
  surface: Surface,
  options: MountOptions,
): Promise<MountedRoute[]> {
  const { log } = options;
  const located = new Map(operationsOf(surface.document).map((o) => [o.id, o]));
  const checksOf = createValidator(surface.document);
  const mounted: MountedRoute[] = [];

  await app.register(async (scope) => {
    acceptBodies(scope);
    scope.setErrorHandler((thrown, request, reply) => sendError(surface, log, thrown, request, reply));
    for (const [id, declared] of Object.entries(surface.operations)) {
      const operation = located.get(id);
      if (operation === undefined) throw new Error(`${surface.name}: the contract has no operation ${id}`);
      mountOperation(scope, surface, operation, checksOf(operation), declared, options);
      mounted.push({ surface: surface.name, located: operation, declared });
    }
    if (surface.prefix !== null) refuseUnknown(scope, surface.prefix, mounted);
  });
  return mounted;
}

function mountOperation(
  scope: FastifyInstance,
  surface: Surface,
  { method, path, operation }: LocatedOperation,
  checks: RequestChecks,
  declared: Operation,
  { log, clock, bodyIdleMs = 120_000 }: MountOptions,
): void {
  const status = Number(Object.keys(operation.responses).find((s) => s.startsWith('2')) ?? 200);
  scope.route({
    method: method.toUpperCase(),
    url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(declared.kind === 'http' && declared.bodyLimit !== undefined
      ? { bodyLimit: declared.bodyLimit }
      : {}),
    exposeHeadRoute: declared.kind === 'http' && method === 'get',
    config: { bodyType: checks.bodyType },
    onRequest: async (request) => {
      if (declared.kind === 'http' && method !== 'get') {
        request.raw.setTimeout(bodyIdleMs);
        if (declared.access.who === 'anyone') hurry(request.raw, clock);
      }
      request.actor = await surface.auth.fromRequest(request, declared.access);
      if (declared.kind === 'http' || request.actor.kind !== 'nobody') admit(declared.access, request.actor);
    },
    handler: async (request, reply) => {
      // the body is here; how long the answer takes is the operation's affair. Uploads are still read
      if (method !== 'get' && checks.bodyType !== 'multipart/form-data') request.raw.setTimeout(0);
      const params = checks.params(request.params as Record<string, string>);
      if (declared.kind === 'socket') {
        await runSocket({ surface, declared, request, reply, params, log, clock });
        return reply;
      }
      const query = checks.query(request.query as Record<string, unknown>);
      const body = checks.body(request.body);
      reply.code(status);
      const answer = await declared.handle({
        actor: actorOf(request),
        params,
        query,
        body,
        request,
        reply,
        gone: goneSignal(request, reply),
      });
      // the operation streamed its answer itself, or nobody is there to get one
      if (reply.sent || reply.raw.headersSent || reply.raw.destroyed) return reply;
      if (answer === undefined) return reply.code(204).send();
      return reply.send(answer);
    },
  });
}

/** The actor of a request that passed the credential hook. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.actor === null) throw new AviaryError('internal', 'a handler ran before its credential hook');
  return request.actor;
}

/** Every request meets these while they last: an outage is logged once by its own part, a full host is in the metrics. */
const SAID_ELSEWHERE: ReadonlySet<ErrorCode> = new Set([
  'database_unavailable',
  'shutting_down',
  'capacity_exceeded',
]);

/** Renders a failure in the surface's own form. What is a bug is logged with the request id. */
export function sendError(
  surface: Pick<Surface, 'name' | 'errors' | 'renderError'>,
  log: Logger,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const wire = toWireError(thrown, surface.errors, request.id);
  if (wire.error.code === 'internal') {
    log.error(
      { err: wire.error.cause ?? wire.error, requestId: request.id, route: request.routeOptions.url },
      'request failed',
    );
  } else if (wire.status >= 500 && !SAID_ELSEWHERE.has(wire.error.code)) {
    log.warn({ err: wire.error, requestId: request.id, route: request.routeOptions.url }, 'request refused');
  }
  if (wire.retryAfterSec !== null) reply.header('retry-after', String(wire.retryAfterSec));
  if (wire.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(wire.status).type('application/json; charset=utf-8').send(surface.renderError(wire));
}

/** Ends the connection of a body that is not complete in {@link OPEN_BODY_MS}. */
function hurry(body: IncomingMessage, clock: Clock): void {
  const here = new AbortController();
  body.once('end', () => here.abort()).once('close', () => here.abort());
  clock.sleep(OPEN_BODY_MS, here.signal).then(
    () => body.socket.destroy(),
    // it came in time
    () => undefined,
  );
}

function goneSignal(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('the client went away'));
  });
  if (request.raw.destroyed && !request.raw.complete) gone.abort(new Error('the client went away'));
  return gone.signal;
}
