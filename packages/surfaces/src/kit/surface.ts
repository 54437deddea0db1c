/** How a surface is declared: its contract, and for each operation who may call it and what is done. */
import type { Actor } from '@aviary/domain/identity';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Access } from './access.ts';
import type { OpenApiDocument } from './contract.ts';
import type { ErrorTable, WireError } from './errors.ts';
import type { SocketSession } from './session.ts';

/** A request whose credential and fields have been checked. `Body` is what the contract's schema admits. */
export interface Call<Body = unknown> {
  actor: Actor;
  params: Readonly<Record<string, string>>;
  /** Declared parameters are coerced to their declared type. */
  query: Readonly<Record<string, unknown>>;
  body: Body;
  request: FastifyRequest;
  reply: FastifyReply;
  /** Aborts when the client went away before its answer. */
  gone: AbortSignal;
}

/** Answers a value (JSON), a stream (bytes), or undefined (204). The first 2xx of the contract is the status. */
export interface HttpOperation<Body = unknown> {
  kind: 'http';
  access: Access;
  /** Bytes of body allowed; default 1 MiB. Not for multipart, which is streamed. */
  bodyLimit?: number;
  handle(call: Call<Body>): Promise<unknown>;
}

/**
 * A WebSocket route. What fails before `upgrade()` is an ordinary HTTP error; after it, an `error` message and
 * the end of the session.
 */
export interface SocketOperation {
  kind: 'socket';
  access: Access;
  handle(call: SocketCall): Promise<void>;
}

export interface SocketCall {
  actor: Actor;
  params: Readonly<Record<string, string>>;
  upgrade(): Promise<SocketSession>;
}

export type Operation = HttpOperation | SocketOperation;

/** How a client proves who it is, for one surface. */
export interface SurfaceAuth {
  /**
   * From the headers, before the body is read. `nobody` when there is no credential; throws for a bad one.
   * When there are several, the one that fits `access` counts.
   */
  fromRequest(request: FastifyRequest, access: Access): Promise<Actor>;
  /** From the first message of a WebSocket whose client cannot set headers; null when it is no such message. */
  fromMessage(message: unknown, request: FastifyRequest): Promise<Actor | null>;
}

export interface Surface {
  name: string;
  /** Paths of this surface start with it; unknown ones under it get this surface's 404 body. Null: none. */
  prefix: string | null;
  /** With extensions; may declare operations that are not implemented. */
  document: OpenApiDocument;
  /** By operationId. */
  operations: Readonly<Record<string, Operation>>;
  auth: SurfaceAuth;
  errors: ErrorTable;
  renderError(error: WireError): unknown;
  /** The message that tells a WebSocket client what failed, before its session is closed. */
  renderSocketError(error: WireError): object;
}

/** Declares an HTTP operation; `access` cannot be left out. */
export function http<Body = undefined>(operation: Omit<HttpOperation<Body>, 'kind'>): HttpOperation {
  // the body was checked against the schema that Body stands for
  return { ...operation, kind: 'http' } as HttpOperation<Body> as HttpOperation;
}

/** Declares a WebSocket operation; `access` cannot be left out. */
export function socket(operation: Omit<SocketOperation, 'kind'>): SocketOperation {
  return { ...operation, kind: 'socket' };
}

/** A surface, checked: every operation it implements is in its document. */
export function defineSurface(surface: Surface): Surface {
  return surface;
}
