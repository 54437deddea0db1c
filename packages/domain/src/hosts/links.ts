/** Which hosts this process can talk to, and through what. */
import { AviaryError } from '@aviary/kernel';
import type { CapsuleHost } from '@aviary/protocol';

/** The way to each host that is connected. */
export interface HostLinks {
  /** Error: host_unavailable when it is not connected. */
  capsules(hostId: string): CapsuleHost;
  /** Ids of connected hosts. */
  connected(): string[];
  /** Called by the composition root (this machine) and by agents' connections. The function disconnects. */
  connect(hostId: string, link: { capsules: CapsuleHost }): () => void;
}

export function createLinks(): HostLinks {
  const links = new Map<string, { capsules: CapsuleHost }>();
  return {
    capsules: (hostId) => {
      const link = links.get(hostId);
      if (link === undefined) throw new AviaryError('host_unavailable', `host ${hostId} is not connected`);
      return link.capsules;
    },
    connected: () => [...links.keys()],
    connect: (hostId, link) => {
      links.set(hostId, link);
      return () => {
        // a newer connection of the same host stays
        if (links.get(hostId) === link) links.delete(hostId);
      };
    },
  };
}
