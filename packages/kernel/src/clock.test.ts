import { expect, it } from 'vitest';
import { systemClock } from './index.ts';
import { createFakeClock } from './testing.ts';

const HOUR = 3_600_000;

it('ends a sleep at once when its signal aborts, with the reason', async () => {
  const reason = new Error('enough');
  for (const clock of [systemClock, createFakeClock()]) {
    const controller = new AbortController();
    const sleeping = clock.sleep(HOUR, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(HOUR, controller.signal)).rejects.toBe(reason);
  }
});

it('wakes after the time, and a later abort changes nothing', async () => {
  const controller = new AbortController();
  const before = systemClock.monotonicMs();
  await systemClock.sleep(20, controller.signal);
  // timers may fire up to a millisecond early by the finer clock
  expect(systemClock.monotonicMs() - before).toBeGreaterThan(18);
  controller.abort();
});

it('tells the time of the machine', () => {
  const [before, now, after] = [Date.now(), systemClock.now().getTime(), Date.now()];
  expect(now >= before && now <= after).toBe(true);
  const first = systemClock.monotonicMs();
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
});

it('stands still in tests until moved, and wakes sleepers in order', async () => {
  const clock = createFakeClock(0);
  const woken: [string, number][] = [];
  const sleep = (name: string, ms: number) =>
    clock.sleep(ms).then(() => woken.push([name, clock.monotonicMs()]));
  void sleep('b', 20);
  // what one does when it wakes happens before the next one wakes
  void sleep('a', 10).then(() => sleep('c', 5));
  expect(clock.sleepers).toBe(2);
  await clock.advance(9);
  expect(woken).toEqual([]);
  await clock.advance(100);
  expect(woken).toEqual([
    ['a', 10],
    ['c', 15],
    ['b', 20],
  ]);
  expect([clock.sleepers, clock.monotonicMs(), clock.now().getTime()]).toEqual([0, 109, 109]);
});
