import { createFakeClock } from '@aviary/kernel/testing';
import { expect, it } from 'vitest';
import { createSignals, SAME_WISH_MS } from './signals.ts';

it('drains at the first signal, whatever it is', () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    expect(createSignals(createFakeClock())(signal)).toBe('drain');
  }
});

it('takes a second SIGTERM for the same wish, for seconds', async () => {
  const clock = createFakeClock();
  const decide = createSignals(clock);
  decide('SIGTERM');
  expect(decide('SIGTERM')).toBe('ignore');
  await clock.advance(SAME_WISH_MS.SIGTERM - 1);
  expect(decide('SIGTERM')).toBe('ignore');
  await clock.advance(1);
  expect(decide('SIGTERM')).toBe('exit');
});

it('ends at once at a second Ctrl-C, but not when one arrives twice', async () => {
  const clock = createFakeClock();
  const decide = createSignals(clock);
  decide('SIGINT');
  expect(decide('SIGINT')).toBe('ignore');
  await clock.advance(SAME_WISH_MS.SIGINT);
  expect(decide('SIGINT')).toBe('exit');
});
