/** One WebSocket route's request: credential, handshake, the session, and how failures are told. */
import type { Actor } from '@aviary/domain/identity';
import { AviaryError, type Clock, type Logger } from '@aviary/kernel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { admit } from './access.ts';
import { toWireError } from './errors.ts';
import { untilRevoked } from './recheck.ts';
import { SocketClosed, type SocketMessage, type SocketSession } from './session.ts';
import type { SocketOperation, Surface } from './surface.ts';
import { takeUpgrade, wantsUpgrade } from './upgrade.ts';

/** A client that cannot set headers has this long to send its credential, ms. */
export const AUTH_MS = 5000;
/** Sessions that wait for their credential at the same time: all clients together, and of one address. */
const MAX_UNPROVEN = { all: 128, address: 16 } as const;
/** Address -> how many of its sessions wait. */
const unproven = new Map<string, number>();

interface SocketRequest {
  surface: Surface;
  declared: SocketOperation;
  request: FastifyRequest;
  reply: FastifyReply;
  params: Readonly<Record<string, string>>;
  log: Logger;
  clock: Clock;
}

/** Runs it to its end. Rejects only while the answer can still be an HTTP response. */
export async function runSocket({
  surface,
  declared,
  request,
  reply,
  params,
  log,
  clock,
}: SocketRequest): Promise<void> {
  if (!wantsUpgrade(request.raw)) {
    reply.header('upgrade', 'websocket').header('connection', 'upgrade');
    throw new AviaryError('upgrade_required', 'this route is a WebSocket: connect with ws:// or wss://');
  }
  let session: SocketSession | null = null;
  const upgrade = async () => {
    if (session === null) {
      reply.hijack();
      session = await takeUpgrade(request.raw, clock);
    }
    return session;
  };
  try {
    let actor = request.actor!;
    let prove = (): Promise<Actor | null> => surface.auth.fromRequest(request, declared.access);
    if (actor.kind === 'nobody' && declared.access.who !== 'anyone') {
      const proven = await proveBySocket(surface, await upgrade(), request, clock);
      ({ actor, prove } = proven);
      admit(declared.access, actor);
    }
    const open = async () => {
      const opened = await upgrade();
      if (actor.kind !== 'nobody') {
        untilRevoked(opened, prove, clock).then(
          (revoked) => tell(surface, opened, revoked, request, log),
          // the session ended first
          () => undefined,
        );
      }
      return opened;
    };
    await declared.handle({ actor, params, upgrade: open });
    (session as SocketSession | null)?.close(1000, 'done');
  } catch (thrown) {
    // no session yet: the error handler answers
    if (session === null) throw thrown;
    await tell(surface, session, thrown, request, log);
  }
}

async function tell(
  surface: Surface,
  session: SocketSession,
  thrown: unknown,
  request: FastifyRequest,
  log: Logger,
): Promise<void> {
  if (thrown instanceof SocketClosed || session.closed.aborted) return;
  const wire = toWireError(thrown, surface.errors, request.id);
  if (wire.error.code === 'internal') {
    log.error(
      { err: wire.error.cause ?? wire.error, requestId: request.id, route: request.routeOptions.url },
      'session failed',
    );
  }
  // the client may be gone by now, which ends the session as well
  await session.send(surface.renderSocketError(wire)).catch(() => undefined);
  session.close(wire.status >= 500 ? 1011 : 1008, wire.code);
}

async function proveBySocket(
  surface: Surface,
  session: SocketSession,
  request: FastifyRequest,
  clock: Clock,
): Promise<{ actor: Actor; prove: () => Promise<Actor | null> }> {
  const own = unproven.get(request.ip) ?? 0;
  const all = [...unproven.values()].reduce((sum, count) => sum + count, 0);
  if (own >= MAX_UNPROVEN.address || all >= MAX_UNPROVEN.all) {
    throw new AviaryError('rate_limited', 'too many sessions wait for a credential');
  }
  unproven.set(request.ip, own + 1);
  try {
    const first = await firstMessage(session, clock);
    const prove = async () => (first === null ? null : surface.auth.fromMessage(first, request));
    const actor = await prove();
    if (actor !== null) return { actor, prove };
    throw new AviaryError(
      'unauthorized',
      'send a credential as header, or {"type":"auth","token":…} or {"type":"auth","api_key":…} as first message',
    );
  } finally {
    const left = (unproven.get(request.ip) ?? 1) - 1;
    if (left > 0) unproven.set(request.ip, left);
    else unproven.delete(request.ip);
  }
}

async function firstMessage(session: SocketSession, clock: Clock): Promise<SocketMessage | null> {
  const done = new AbortController();
  const late = clock.sleep(AUTH_MS, done.signal).then(() => null);
  // the message came first
  late.catch(() => undefined);
  try {
    return await Promise.race([session.messages.next().then((r) => r.value ?? null), late]);
  } finally {
    done.abort();
  }
}
