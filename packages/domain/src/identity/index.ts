/**
 * Accounts, teams, API keys, sessions and who may do what. The leftmost area: it imports no other area,
 * all others and the surfaces import this file (and only this one).
 */
import type {} from './schema.ts';

export * from './actor.ts';
export { createIdentity } from './create.ts';
export type { Identity, IdentityDeps } from './identity.ts';
export type { AuditEntry, EventOf, Journal, JournalValue } from './journal.ts';
export { addressKey, type CredentialLimits, createLimiter, type Limit, type Limiter } from './limits.ts';
export { migrations } from './migrations.ts';
export * from './model.ts';
export * from './policy-kit.ts';
export { createSealer, masterKey, type Sealer } from './secrets.ts';
