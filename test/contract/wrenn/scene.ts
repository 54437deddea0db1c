/** What the cases of the wrenn contract share. */
import type { Client } from '../client.ts';
import type { Instance } from '../instance.ts';
import type { Person } from '../people.ts';

/** What the cases share; filled before the first of them runs. */
export interface Scene {
  instance: Instance;
  client: Client;
  owner: Person;
  /** A key of the owner's team. */
  key: string;
  /** A key of another team. */
  strangerKey: string;
}
