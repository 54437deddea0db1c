/** Puts the area together: every command behind its policy, refusals into the audit log. Used by `index.ts`. */
import { randomBytes } from 'node:crypto';
import { AviaryError, isAviaryError } from '@aviary/kernel';
import { type Actor, requireTeam } from './actor.ts';
import { createAuthenticator } from './authenticate.ts';
import { createApiKey, deleteApiKey } from './commands/api-keys.ts';
import { changePassword } from './commands/change-password.ts';
import { login } from './commands/login.ts';
import { addMember, leaveTeam, removeMember, setMemberRole } from './commands/members.ts';
import { rotateSigningKey } from './commands/rotate-signing-key.ts';
import { signup } from './commands/signup.ts';
import { switchTeam } from './commands/switch-team.ts';
import { createTeam, deleteTeam, renameTeam } from './commands/teams.ts';
import type { Identity, IdentityDeps } from './identity.ts';
import { parseEmailPrefix } from './input.ts';
import { createKeyUse } from './key-use.ts';
import { createLimiter, DEFAULT_LIMITS } from './limits.ts';
import type { Parts } from './parts.ts';
import { requireUser } from './parts.ts';
import { createPasswords } from './passwords.ts';
import { type IdentityAction, policy } from './policy.ts';
import { accountById, accountsByEmailPrefix, anyAccount, apiKeysOf, membersOf, teamsOf } from './queries.ts';
import { createSealer, masterKey } from './secrets.ts';
import { publicAccount } from './session.ts';
import { createSigningKeys } from './signing-keys.ts';
import { onEvent } from './stale.ts';
import { enterTeam, seeTeam } from './team-access.ts';
import { createTokens } from './tokens.ts';

/** The area, wired. Reads or makes the master key and the first signing key. */
export async function createIdentity(deps: IdentityDeps): Promise<Identity> {
  const { db, journal, clock, log } = deps;
  const random = deps.random ?? randomBytes;
  const sealer = createSealer(await masterKey(deps.dataDir, random), random);
  const keys = createSigningKeys({ db, sealer, clock, random });
  await keys.ensure();
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  const tokens = createTokens(keys, clock);
  const limiters = {
    loginPerAccountAndIp: createLimiter(limits.loginPerAccountAndIp, clock),
    loginPerIp: createLimiter(limits.loginPerIp, clock),
    tokenPerIp: createLimiter(limits.tokenPerIp, clock),
    signupPerIp: createLimiter(limits.signupPerIp, clock),
    lookupPerAccount: createLimiter(limits.lookupPerAccount, clock),
  };
  const use = createKeyUse({ db, clock, log });
  const door = createAuthenticator({ db, clock, tokens, limiters }, use.touch);
  const passwords = await createPasswords();
  const signups = deps.signups ?? 'open';
  const parts: Parts = {
    db,
    journal,
    clock,
    random,
    passwords,
    keys,
    tokens,
    signups,
    limiters,
    stale: door.drop,
  };

  /** One command: policy first; what is refused, there or inside, goes to the audit log. */
  const command = async <T>(
    action: IdentityAction,
    actor: Actor,
    teamId: string | null,
    run: () => Promise<T>,
  ) => {
    try {
      policy.check(actor, action);
      return await run();
    } catch (error) {
      if (isAviaryError(error, 'forbidden', 'unauthorized', 'invalid_credentials', 'rate_limited')) {
        const resource = teamId === null ? null : { type: 'team', id: teamId };
        const details = { code: error.code };
        await journal.refused({
          action,
          outcome: 'refused',
          actor,
          teamId: teamOf(actor),
          resource,
          details,
        });
      }
      throw error;
    }
  };

  return {
    authenticate: door.authenticate,
    signup: (actor, input) => command('account.signup', actor, null, () => signup(parts, actor, input)),
    anyAccount: () => anyAccount(db.kysely),
    login: (actor, input) => command('account.login', actor, null, () => login(parts, actor, input)),
    switchTeam: (actor, input) =>
      command('session.switch_team', actor, input.teamId, () => switchTeam(parts, actor, input)),
    changePassword: (actor, input) =>
      command('account.change_password', actor, null, () => changePassword(parts, actor, input)),
    getAccount: (actor) =>
      command('account.get', actor, null, async () => {
        const account = await accountById(db.kysely, requireUser(actor).accountId);
        if (account === undefined) throw new AviaryError('unauthorized', 'the account is gone');
        return publicAccount(account);
      }),
    searchUsers: (actor, input) =>
      command('account.search', actor, null, async () => {
        const prefix = parseEmailPrefix(input.prefix);
        limiters.lookupPerAccount.count(requireUser(actor).accountId);
        return accountsByEmailPrefix(db.kysely, prefix);
      }),

    createApiKey: (actor, input) =>
      command('apikey.create', actor, null, () => createApiKey(parts, actor, input)),
    listApiKeys: (actor) =>
      command('apikey.list', actor, null, async () => {
        await use.flush();
        return apiKeysOf(db.kysely, requireTeam(actor));
      }),
    deleteApiKey: (actor, input) =>
      command('apikey.delete', actor, null, () => deleteApiKey(parts, actor, input)),

    listTeams: (actor) =>
      command('team.list', actor, null, () => teamsOf(db.kysely, requireUser(actor).accountId)),
    createTeam: (actor, input) => command('team.create', actor, null, () => createTeam(parts, actor, input)),
    getTeam: (actor, { teamId }) =>
      command('team.get', actor, teamId, async () => {
        const { id, name, slug, createdAt } = await seeTeam(db.kysely, actor, teamId);
        return { team: { id, name, slug, createdAt }, members: await membersOf(db.kysely, teamId) };
      }),
    renameTeam: (actor, input) =>
      command('team.rename', actor, input.teamId, () => renameTeam(parts, actor, input)),
    deleteTeam: (actor, input) =>
      command('team.delete', actor, input.teamId, () => deleteTeam(parts, actor, input)),
    listMembers: (actor, { teamId }) =>
      command('team.list_members', actor, teamId, async () => {
        await enterTeam(db.kysely, actor, teamId, 'team.list_members');
        return membersOf(db.kysely, teamId);
      }),
    addMember: (actor, input) =>
      command('team.add_member', actor, input.teamId, () => addMember(parts, actor, input)),
    setMemberRole: (actor, input) =>
      command('team.set_role', actor, input.teamId, () => setMemberRole(parts, actor, input)),
    removeMember: (actor, input) =>
      command('team.remove_member', actor, input.teamId, () => removeMember(parts, actor, input)),
    leaveTeam: (actor, input) =>
      command('team.leave', actor, input.teamId, () => leaveTeam(parts, actor, input)),

    rotateSigningKey: (actor) =>
      command('signing_key.rotate', actor, null, () => rotateSigningKey(parts, actor)),
    onEvent: (event) => onEvent(event, door.drop, keys.forget),
    close: use.close,
  };
}

/** Whose log shows a refusal: the actor's own team, not the one it reached for. */
function teamOf(actor: Actor): string | null {
  return actor.kind === 'user' || actor.kind === 'apiKey' ? actor.teamId : null;
}
