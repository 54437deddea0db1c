/** Accounts, API keys and people: wrenn's auth, api-keys and users operations. */
import type { Identity } from '@aviary/domain/identity';
import { http } from '../../kit/index.ts';
import { toApiKey, toAuth, toNewApiKey } from '../translate.ts';
import type { LoginRequest, SignupRequest } from '../wire.ts';

/** Nobody has proven anything yet, and the fields are short. Bytes. */
const OPEN_LIMIT = 64 * 1024;

export const accountOperations = (identity: Identity) => ({
  signup: http<SignupRequest>({
    access: { who: 'anyone', because: 'it makes the account' },
    bodyLimit: OPEN_LIMIT,
    handle: async ({ actor, body: { email, password, name } }) =>
      toAuth(await identity.signup(actor, { email, password, name })),
  }),
  login: http<LoginRequest>({
    access: { who: 'anyone', because: 'it makes the session' },
    bodyLimit: OPEN_LIMIT,
    handle: async ({ actor, body: { email, password } }) =>
      toAuth(await identity.login(actor, { login: email, password })),
  }),
  switchTeam: http<{ team_id: string }>({
    access: { who: 'account' },
    handle: async ({ actor, body }) => toAuth(await identity.switchTeam(actor, { teamId: body.team_id })),
  }),
  createAPIKey: http<{ name?: string }>({
    access: { who: 'account' },
    handle: async ({ actor, body: { name } }) =>
      toNewApiKey(await identity.createApiKey(actor, name === undefined ? {} : { name })),
  }),
  listAPIKeys: http({
    access: { who: 'account' },
    handle: async ({ actor }) => (await identity.listApiKeys(actor)).map(toApiKey),
  }),
  deleteAPIKey: http({
    access: { who: 'account' },
    handle: async ({ actor, params }) => identity.deleteApiKey(actor, { id: params['id']! }),
  }),
  searchUsers: http({
    access: { who: 'account' },
    handle: async ({ actor, query }) =>
      (await identity.searchUsers(actor, { prefix: String(query['email']) })).map(({ accountId, email }) => ({
        user_id: accountId,
        email,
      })),
  }),
});
