/** Host side of the guest agent's protocol, for drivers that run microVMs. */
export { type ConnectOptions, connectGuest, type GuestLink } from './guest-link.ts';
export type { GuestIdentity } from './identity.ts';
