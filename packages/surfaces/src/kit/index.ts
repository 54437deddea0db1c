/** What every surface is made of. Surfaces and the control plane import it; it knows no surface. */
export type { Access } from './access.ts';
export * from './contract.ts';
export type { ErrorTable, WireError } from './errors.ts';
export { toWireError } from './errors.ts';
export { type MountedRoute, mountSurface } from './mount.ts';
export { receiveUpload, type UploadLimits } from './multipart.ts';
export { mergeDocuments } from './openapi.ts';
export { hostName, isLocal, isLoopback } from './origin.ts';
export { BODY_LIMIT, createApp, type ServerOptions } from './server.ts';
export { createSession, SocketClosed, type SocketMessage, type SocketSession } from './session.ts';
export * from './surface.ts';
export * from './text.ts';
export { closeSessions } from './upgrade.ts';
export * from './utf8.ts';
