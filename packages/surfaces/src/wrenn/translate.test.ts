import { expect, it } from 'vitest';
import { permissions, toCapsule, toFile } from './translate.ts';

it('renders a capsule field by field', () => {
  const at = new Date('2026-01-02T03:04:05.678Z');
  const capsule = {
    id: 'cl-1',
    teamId: 'team-1',
    hostId: 'host-1',
    status: 'error' as const,
    statusReason: 'it died',
    transition: null,
    template: 'minimal',
    templateRef: { kind: 'base' as const, name: 'minimal' },
    vcpus: 2,
    memoryMb: 256,
    diskMb: 5120,
    timeoutSec: 60,
    metadata: { app: 'web' },
    user: 'root',
    guestIp: '10.11.0.1',
    hostIp: '127.0.0.1',
    createdAt: at,
    startedAt: null,
    lastActiveAt: at,
    updatedAt: at,
  };
  expect(toCapsule(capsule)).toEqual({
    id: 'cl-1',
    status: 'error',
    status_reason: 'it died',
    template: 'minimal',
    vcpus: 2,
    memory_mb: 256,
    disk_mb: 5120,
    timeout_sec: 60,
    guest_ip: '10.11.0.1',
    host_ip: '127.0.0.1',
    metadata: { app: 'web' },
    created_at: '2026-01-02T03:04:05.678Z',
    started_at: null,
    last_active_at: '2026-01-02T03:04:05.678Z',
    last_updated: '2026-01-02T03:04:05.678Z',
  });
});

it('writes permissions as ls does', () => {
  expect(permissions({ type: 'file', mode: 0o755 })).toBe('-rwxr-xr-x');
  expect(permissions({ type: 'directory', mode: 0o1777 })).toBe('drwxrwxrwt');
  expect(permissions({ type: 'file', mode: 0o4644 })).toBe('-rwSr--r--');
  expect(permissions({ type: 'symlink', mode: 0o777 })).toBe('lrwxrwxrwx');
});

it('keeps to the three kinds of the contract', () => {
  const file = {
    name: 'x',
    path: '/x',
    type: 'other' as const,
    size: 0,
    mode: 0o600,
    owner: 'root',
    group: 'root',
    modifiedAt: 1,
    symlinkTarget: null,
  };
  expect(toFile(file)).toMatchObject({ type: 'file', modified_at: 1, symlink_target: null });
});
