/** Pure translations between the domain's words and the wrenn contract's. Used by this surface only. */
import type { Capsule, CreateCapsule, CreateSnapshot, Template } from '@aviary/domain/capsules';
import type { ApiKey, NewApiKey, Session, Team, TeamMember, TeamWithRole } from '@aviary/domain/identity';
import type { GuestFile, GuestProcessInfo } from '@aviary/protocol';
import type { CreateCapsuleRequest, CreateSnapshotRequest } from './wire.ts';

const time = (date: Date) => date.toISOString();
const timeOrNull = (date: Date | null) => date?.toISOString() ?? null;

export const toAuth = ({ token, account, team }: Session) => ({
  token,
  user_id: account.id,
  team_id: team.id,
  email: account.email,
  name: account.name,
});

export const toApiKey = (key: ApiKey) => ({
  id: key.id,
  team_id: key.teamId,
  name: key.name,
  key_prefix: key.prefix,
  created_at: time(key.createdAt),
  last_used: timeOrNull(key.lastUsedAt),
});

/** The only answer that holds the key's text. */
export const toNewApiKey = (key: NewApiKey) => ({ ...toApiKey(key), key: key.key });

export const toTeam = ({ id, name, slug, createdAt }: Team) => ({
  id,
  name,
  slug,
  created_at: time(createdAt),
});

export const toTeamWithRole = (team: TeamWithRole) => ({ ...toTeam(team), role: team.role });

export const toMember = ({ accountId, email, role, joinedAt }: TeamMember) => ({
  user_id: accountId,
  email,
  role,
  joined_at: time(joinedAt),
});

export const toCapsule = (capsule: Capsule) => ({
  id: capsule.id,
  status: capsule.status,
  status_reason: capsule.statusReason,
  template: capsule.template,
  vcpus: capsule.vcpus,
  memory_mb: capsule.memoryMb,
  disk_mb: capsule.diskMb,
  timeout_sec: capsule.timeoutSec,
  guest_ip: capsule.guestIp,
  host_ip: capsule.hostIp,
  metadata: { ...capsule.metadata },
  created_at: time(capsule.createdAt),
  started_at: timeOrNull(capsule.startedAt),
  last_active_at: timeOrNull(capsule.lastActiveAt),
  last_updated: time(capsule.updatedAt),
});

export const fromNewCapsule = (body: CreateCapsuleRequest): CreateCapsule => ({
  template: body.template,
  vcpus: body.vcpus,
  memoryMb: body.memory_mb,
  diskMb: body.disk_mb,
  timeoutSec: body.timeout_sec,
  envs: body.envs,
  metadata: body.metadata,
  user: body.user,
});

export const fromNewSnapshot = (body: CreateSnapshotRequest, overwrite: boolean): CreateSnapshot => ({
  capsuleId: body.sandbox_id,
  name: body.name,
  overwrite,
  keepRunning: body.keep_running,
});

export const toTemplate = (template: Template) => ({
  name: template.name,
  type: template.type,
  vcpus: template.vcpus,
  memory_mb: template.memoryMb,
  size_bytes: template.sizeBytes,
  created_at: time(template.createdAt),
});

export const toProcess = ({ pid, tag, cmd, args }: GuestProcessInfo) => ({ pid, tag, cmd, args });

export const toFile = (file: GuestFile) => ({
  name: file.name,
  path: file.path,
  // the contract knows three kinds; devices, sockets and pipes are files to it
  type: file.type === 'other' ? 'file' : file.type,
  size: file.size,
  mode: file.mode,
  permissions: permissions(file),
  owner: file.owner,
  group: file.group,
  modified_at: file.modifiedAt,
  symlink_target: file.symlinkTarget,
});

/** As `ls -l` writes them, e.g. `-rwxr-xr-x`. */
export function permissions({ type, mode }: Pick<GuestFile, 'type' | 'mode'>): string {
  const kind = { file: '-', directory: 'd', symlink: 'l', other: '?' }[type];
  const bits = [...'rwxrwxrwx'].map((letter, i) => (mode & (0o400 >> i) ? letter : '-'));
  const special = (bit: number, at: number, letter: string) => {
    if (mode & bit) bits[at] = bits[at] === 'x' ? letter : letter.toUpperCase();
  };
  special(0o4000, 2, 's');
  special(0o2000, 5, 's');
  special(0o1000, 8, 't');
  return kind + bits.join('');
}
