/** wrenn's team operations. */
import type { Identity } from '@aviary/domain/identity';
import { http } from '../../kit/index.ts';
import { toMember, toTeam, toTeamWithRole } from '../translate.ts';

export const teamOperations = (identity: Identity) => ({
  listTeams: http({
    access: { who: 'account' },
    handle: async ({ actor }) => (await identity.listTeams(actor)).map(toTeamWithRole),
  }),
  createTeam: http<{ name: string }>({
    access: { who: 'account' },
    handle: async ({ actor, body: { name } }) => toTeamWithRole(await identity.createTeam(actor, { name })),
  }),
  getTeam: http({
    access: { who: 'account', role: 'member' },
    handle: async ({ actor, params }) => {
      const { team, members } = await identity.getTeam(actor, { teamId: params['id']! });
      return { team: toTeam(team), members: members.map(toMember) };
    },
  }),
  renameTeam: http<{ name: string }>({
    access: { who: 'account', role: 'admin' },
    handle: async ({ actor, params, body: { name } }) =>
      identity.renameTeam(actor, { teamId: params['id']!, name }),
  }),
  deleteTeam: http({
    access: { who: 'account', role: 'owner' },
    handle: async ({ actor, params }) => identity.deleteTeam(actor, { teamId: params['id']! }),
  }),
  listTeamMembers: http({
    access: { who: 'account', role: 'member' },
    handle: async ({ actor, params }) =>
      (await identity.listMembers(actor, { teamId: params['id']! })).map(toMember),
  }),
  addTeamMember: http<{ email: string }>({
    access: { who: 'account', role: 'admin' },
    handle: async ({ actor, params, body: { email } }) =>
      toMember(await identity.addMember(actor, { teamId: params['id']!, email })),
  }),
  updateMemberRole: http<{ role: string }>({
    access: { who: 'account', role: 'admin' },
    handle: async ({ actor, params, body: { role } }) =>
      identity.setMemberRole(actor, { teamId: params['id']!, accountId: params['uid']!, role }),
  }),
  removeTeamMember: http({
    access: { who: 'account', role: 'admin' },
    handle: async ({ actor, params }) =>
      identity.removeMember(actor, { teamId: params['id']!, accountId: params['uid']! }),
  }),
  leaveTeam: http({
    access: { who: 'account', role: 'member' },
    handle: async ({ actor, params }) => identity.leaveTeam(actor, { teamId: params['id']! }),
  }),
});
