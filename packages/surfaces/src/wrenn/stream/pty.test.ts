import type { Capsules } from '@aviary/domain/capsules';
import { createMockHost } from '@aviary/drivers/mock';
import { isAviaryError, systemClock } from '@aviary/kernel';
import { createFakeClock } from '@aviary/kernel/testing';
import type { CapsuleSpec, Guest } from '@aviary/protocol';
import { beforeEach, expect, it } from 'vitest';
import {
  SocketClosed,
  type SocketMessage,
  type SocketOperation,
  type SocketSession,
} from '../../kit/index.ts';
import { INACTIVITY_MS, PING_MS, ptyStream } from './pty.ts';

const spec: CapsuleSpec = {
  id: 'cl-1',
  template: { kind: 'base', name: 'minimal' },
  vcpus: 1,
  memoryMb: 128,
  diskMb: 5120,
  envs: {},
  user: 'root',
};
let guest: Guest;
beforeEach(async () => {
  const host = createMockHost({ clock: systemClock });
  await host.create(spec);
  guest = await host.guest(spec.id);
});

/** The far end of a session, in the hands of the test. */
function farEnd() {
  const sent: Record<string, unknown>[] = [];
  const gone = new AbortController();
  const queue: SocketMessage[] = [];
  let wake: () => void = () => undefined;
  async function* messages(): AsyncGenerator<SocketMessage, undefined> {
    while (!gone.signal.aborted) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  const session: SocketSession = {
    send: async (message) => {
      sent.push(message as Record<string, unknown>);
    },
    messages: messages(),
    closed: gone.signal,
    close: () => undefined,
  };
  return {
    session,
    types: () => sent.map((message) => message['type']),
    say: (message: SocketMessage) => {
      queue.push(message);
      wake();
    },
    leave: () => {
      gone.abort(new SocketClosed());
      wake();
    },
  };
}

/** Opens a terminal on a clock that stands still until moved. */
async function open() {
  const clock = createFakeClock();
  const capsules = { use: (_actor: unknown, _id: string, work: (guest: Guest) => unknown) => work(guest) };
  const { ptySession } = ptyStream(capsules as unknown as Capsules, clock);
  const far = farEnd();
  const ended = (ptySession as SocketOperation)
    .handle({
      actor: { kind: 'nobody', ip: null },
      params: { id: spec.id },
      upgrade: async () => far.session,
    })
    .then(
      () => 'done' as const,
      (error: unknown) => error,
    );
  far.say({ type: 'start', cmd: '/bin/sh' });
  await expect.poll(() => clock.sleepers).toBe(1);
  return { clock, far, ended };
}

it('pings every 30 s and closes after 120 s without input, leaving the process', async () => {
  const { clock, far, ended } = await open();
  await clock.advance(PING_MS);
  await clock.advance(PING_MS);
  expect(far.types()).toEqual(['started', 'ping', 'ping']);
  await clock.advance(INACTIVITY_MS - 2 * PING_MS);
  expect(isAviaryError(await ended, 'timeout')).toBe(true);
  expect((await guest.processes()).map(({ cmd }) => cmd)).toEqual(['/bin/sh']);
  expect(clock.sleepers).toBe(0);
});

it('starts counting anew with every input and resize', async () => {
  const { clock, far, ended } = await open();
  for (const message of [
    { type: 'input', data: '' },
    { type: 'resize', cols: 10, rows: 10 },
  ]) {
    await clock.advance(INACTIVITY_MS - 1);
    far.say(message);
    // heard at the last moment
    await clock.advance(0);
  }
  await clock.advance(INACTIVITY_MS - 1);
  far.say({ type: 'kill' });
  expect(await ended).toBe('done');
  expect(far.types().at(-1)).toBe('exit');
});

it('lets the process go on when the client leaves', async () => {
  const { clock, far, ended } = await open();
  far.leave();
  expect(await ended).toBeInstanceOf(SocketClosed);
  expect((await guest.processes()).length).toBe(1);
  expect(clock.sleepers).toBe(0);
});
