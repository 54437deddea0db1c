/** The wrenn surface's credentials: X-API-Key, Bearer tokens, and a first message for browsers' WebSockets. */
import type { Actor, Credential, Identity } from '@aviary/domain/identity';
import { AviaryError } from '@aviary/kernel';
import type { FastifyRequest } from 'fastify';
import type { Access, SurfaceAuth } from '../kit/index.ts';

/** Reads credentials and has identity authenticate them, once per request. */
export function createAuth(identity: Pick<Identity, 'authenticate'>): SurfaceAuth {
  return {
    fromRequest: async (request, access) => {
      const credential = credentialOf(request, access);
      if (credential === null) return { kind: 'nobody', ip: request.ip };
      return identity.authenticate(credential, request.ip);
    },
    fromMessage: async (message, request): Promise<Actor | null> => {
      const credential = credentialIn(message);
      return credential === null ? null : identity.authenticate(credential, request.ip);
    },
  };
}

/** Where only an account will do, its token counts; elsewhere a key does, when both are sent. */
function credentialOf({ headers }: FastifyRequest, access: Access): Credential | null {
  const key = headers['x-api-key'];
  const { authorization } = headers;
  if (typeof key === 'string' && (access.who !== 'account' || authorization === undefined)) {
    return { kind: 'apiKey', key };
  }
  if (authorization === undefined) return null;
  // RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1)
  const token = authorization.match(/^Bearer +(\S+)$/i)?.[1];
  if (token === undefined) {
    throw new AviaryError('unauthorized', 'Authorization: only "Bearer <token>" is understood');
  }
  return { kind: 'jwt', token };
}

function credentialIn(message: unknown): Credential | null {
  if (typeof message !== 'object' || message === null) return null;
  const { type, token, api_key } = message as { type?: unknown; token?: unknown; api_key?: unknown };
  if (type !== 'auth') return null;
  if (typeof token === 'string') return { kind: 'jwt', token };
  if (typeof api_key === 'string') return { kind: 'apiKey', key: api_key };
  return null;
}
