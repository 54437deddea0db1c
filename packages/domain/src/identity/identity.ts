/** What the area offers. Types only; `create.ts` makes it, `index.ts` exports it. */
import type { Database } from '@aviary/db';
import type { Clock, Logger, RandomBytes } from '@aviary/kernel';
import type { Actor } from './actor.ts';
import type { Journal } from './journal.ts';
import type { CredentialLimits } from './limits.ts';
import type {
  Account,
  ApiKey,
  Credential,
  IdentityEvent,
  NewApiKey,
  Session,
  Team,
  TeamMember,
  TeamWithRole,
} from './model.ts';

export interface IdentityDeps {
  db: Database;
  journal: Journal<IdentityEvent>;
  /** Where the master key file (`master.key`, mode 0600) lives; made at first start. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  random?: RandomBytes;
  limits?: Partial<CredentialLimits>;
  /** Who may sign up: everybody (the default), or only whoever is first. */
  signups?: 'open' | 'first';
}

/**
 * The area. Each command checks its policy first (unauthorized, forbidden), then its input (invalid_request),
 * and records event and audit row with the state change. `database_unavailable` is possible everywhere.
 */
export interface Identity {
  /**
   * Who sent this. Cached for 30 s at most and dropped at once when account, membership or key change.
   * Errors: unauthorized; rate_limited (`details.retryAfterSec`) after too many failures from `ip`.
   */
  authenticate(credential: Credential, ip: string | null): Promise<Actor>;

  /** New account with a personal team; the very first one is the installation's admin. `username` is derived
   *  from the e-mail when absent. Errors: invalid_request, email_taken, username_taken, rate_limited,
   *  forbidden (signing up is closed). */
  signup(
    actor: Actor,
    input: { email: string; password: string; name: string; username?: string },
  ): Promise<Session>;
  /** False until somebody has signed up: whoever does so first administers the installation. */
  anyAccount(): Promise<boolean>;
  /** `login` is an e-mail address or a user name. Errors: invalid_credentials, rate_limited. */
  login(actor: Actor, input: { login: string; password: string }): Promise<Session>;
  /** Errors: not_found (no such team), forbidden (not a member). */
  switchTeam(actor: Actor, input: { teamId: string }): Promise<Session>;
  /** Ends every session of the account everywhere; answers a fresh one. Errors: invalid_credentials, invalid_request. */
  changePassword(actor: Actor, input: { currentPassword: string; newPassword: string }): Promise<Session>;
  /** The signed-in account. Errors: unauthorized. */
  getAccount(actor: Actor): Promise<Account>;
  /** Up to 10 accounts whose e-mail starts with `prefix`, which must contain `@`. Errors: invalid_request, rate_limited. */
  searchUsers(actor: Actor, input: { prefix: string }): Promise<{ accountId: string; email: string }[]>;

  /** Default name `Unnamed API Key`. */
  createApiKey(actor: Actor, input: { name?: string }): Promise<NewApiKey>;
  /** Keys of the actor's team, newest first. */
  listApiKeys(actor: Actor): Promise<ApiKey[]>;
  /** Errors: not_found (also for other teams' keys). */
  deleteApiKey(actor: Actor, input: { id: string }): Promise<void>;

  /** All living teams of the account with its role, oldest first. */
  listTeams(actor: Actor): Promise<TeamWithRole[]>;
  createTeam(actor: Actor, input: { name: string }): Promise<TeamWithRole>;
  /** Errors: not_found (no such team, or deleted), forbidden (not the session's team, or no longer a member). */
  getTeam(actor: Actor, input: { teamId: string }): Promise<{ team: Team; members: TeamMember[] }>;
  /** For these, `teamId` must be the session's team (forbidden), living (not_found). */
  renameTeam(actor: Actor, input: { teamId: string; name: string }): Promise<void>;
  /** Owner only. The team's keys and sessions stop working; `team.deleted` tells the other areas to clean up. */
  deleteTeam(actor: Actor, input: { teamId: string }): Promise<void>;
  listMembers(actor: Actor, input: { teamId: string }): Promise<TeamMember[]>;
  /** Errors: not_found (no account with that e-mail), already_member, rate_limited. */
  addMember(actor: Actor, input: { teamId: string; email: string }): Promise<TeamMember>;
  /** Errors: not_found (not a member), forbidden (target is the owner), invalid_request (role). */
  setMemberRole(actor: Actor, input: { teamId: string; accountId: string; role: string }): Promise<void>;
  /** Errors: not_found (not a member), forbidden (target is the owner). */
  removeMember(actor: Actor, input: { teamId: string; accountId: string }): Promise<void>;
  /** Errors: forbidden (the owner cannot leave). */
  leaveTeam(actor: Actor, input: { teamId: string }): Promise<void>;

  /** A new signing key; tokens of the old one stay good until they expire. Platform admin. */
  rotateSigningKey(actor: Actor): Promise<void>;
  /** Drops what the event made stale. The composition root subscribes this to the live events. */
  onEvent(event: { type: string; resource: { id: string }; data: unknown } | null): void;
  /** Writes what is batched (last use of keys) and stops timers. */
  close(): Promise<void>;
}
