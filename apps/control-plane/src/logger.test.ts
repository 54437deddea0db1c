import { expect, it } from 'vitest';
import { forPeople } from './logger.ts';

const line = (more: object) =>
  JSON.stringify({ level: 40, time: '2026-01-02T03:04:05.678Z', msg: 'refused', ...more });

it('shows a person the time, the level, the sentence, the error and the request', () => {
  expect(forPeople(line({ pid: 1 }))).toBe('03:04:05 warn  refused\n');
  expect(forPeople(line({ err: { message: 'no room', stack: 'at x' }, requestId: 'ab12' }))).toBe(
    '03:04:05 warn  refused: no room (request ab12)\n',
  );
});

it('lets nothing through that a terminal would obey', () => {
  const text = forPeople(line({ err: { message: 'a\u001b[2Jb\r\nfake line\u009bc' } }));
  expect(text).toBe('03:04:05 warn  refused: a [2Jb fake line c\n');
});
