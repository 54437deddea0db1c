/** One good request for every operation of wrenn, on the objects of a cast. For the walks over all routes. */
import type { ServedId } from '../../packages/surfaces/src/wrenn/contract.ts';
import type { Cast, Role } from './cast.ts';
import type { Request } from './client.ts';

const upload = () => {
  const form = new FormData();
  form.append('path', '/tmp/file');
  form.append('file', new Blob(['content']));
  return form;
};
const capsule = ({ capsuleId: id }: Cast, more: Request = {}): Request => ({
  ...more,
  params: { id, selector: 'cast' },
});
const team = ({ teamId: id, memberId: uid }: Cast, more: Request = {}): Request => ({
  ...more,
  params: { id, uid },
});

export const SAMPLES: Record<ServedId, (cast: Cast, role: Role) => Request> = {
  signup: () => ({
    body: {
      email: `new-${Math.random().toString(36).slice(2)}@example.com`,
      password: 'long enough',
      name: 'New',
    },
  }),
  login: ({ outsiderEmail }) => ({ body: { email: outsiderEmail, password: 'a long enough password' } }),
  switchTeam: (cast, role) => ({ body: { team_id: cast.teams[role] } }),
  createAPIKey: () => ({ body: { name: 'sample' } }),
  listAPIKeys: () => ({}),
  deleteAPIKey: ({ keyId }) => ({ params: { id: keyId } }),
  searchUsers: () => ({ query: { email: 'owner@' } }),
  listTeams: () => ({}),
  createTeam: () => ({ body: { name: 'sample' } }),
  getTeam: (cast) => team(cast),
  renameTeam: (cast) => team(cast, { body: { name: 'renamed' } }),
  deleteTeam: (cast) => team(cast),
  listTeamMembers: (cast) => team(cast),
  addTeamMember: (cast) => team(cast, { body: { email: cast.outsiderEmail } }),
  updateMemberRole: (cast) => team(cast, { body: { role: 'member' } }),
  removeTeamMember: (cast) => team(cast),
  leaveTeam: (cast) => team(cast),
  createCapsule: () => ({ body: {} }),
  listCapsules: () => ({}),
  getCapsule: (cast) => capsule(cast),
  destroyCapsule: (cast) => capsule(cast),
  pingCapsule: (cast) => capsule(cast),
  pauseCapsule: (cast) => capsule(cast),
  resumeCapsule: (cast) => capsule(cast),
  forkCapsule: (cast) => capsule(cast, { body: {} }),
  setCapsuleTimeout: (cast) => capsule(cast, { body: { timeout_sec: 60 } }),
  execCommand: (cast) => capsule(cast, { body: { cmd: 'true' } }),
  execStream: (cast) => capsule(cast),
  listProcesses: (cast) => capsule(cast),
  killProcess: (cast) => capsule(cast),
  connectProcess: (cast) => capsule(cast),
  ptySession: (cast) => capsule(cast),
  createSnapshot: ({ capsuleId }) => ({ body: { sandbox_id: capsuleId, keep_running: true } }),
  listSnapshots: () => ({}),
  deleteSnapshot: ({ snapshot }) => ({ params: { name: snapshot } }),
  uploadFile: (cast) => capsule(cast, { form: upload() }),
  downloadFile: (cast) => capsule(cast, { body: { path: '/bin/sh' } }),
  listDir: (cast) => capsule(cast, { body: { path: '/' } }),
  makeDir: (cast) => capsule(cast, { body: { path: '/tmp/made' } }),
  removePath: (cast) => capsule(cast, { body: { path: '/tmp/made' } }),
  streamUploadFile: (cast) => capsule(cast, { form: upload() }),
  streamDownloadFile: (cast) => capsule(cast, { body: { path: '/bin/sh' } }),
};

/** True when the request names an object of the cast's team, so that a stranger must not learn of it. */
export function namesObject(operationId: string, path: string): boolean {
  return path.includes('{') || operationId === 'createSnapshot';
}
