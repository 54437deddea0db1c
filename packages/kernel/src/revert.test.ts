import { expect, it } from 'vitest';
import { createRevert, type Logger, silentLogger } from './index.ts';

function recorder() {
  const errors: object[] = [];
  const log: Logger = { ...silentLogger, error: (fields) => errors.push(fields) };
  return { errors, log };
}

it('undoes the last step first, one after the other', async () => {
  const done: string[] = [];
  const revert = createRevert(silentLogger);
  revert.push('first', () => done.push('first'));
  revert.push('second', async () => {
    await new Promise<void>((resolve) => setImmediate(resolve));
    done.push('second');
  });
  revert.push('third', () => done.push('third'));
  await revert.run();
  expect(done).toEqual(['third', 'second', 'first']);
});

it('goes on after an undo that fails, and says which', async () => {
  const { errors, log } = recorder();
  const done: string[] = [];
  const revert = createRevert(log);
  const broken = new Error('cannot');
  revert.push('file', () => done.push('file'));
  revert.push('process', () => {
    throw broken;
  });
  revert.push('lease', () => Promise.reject(broken));
  await revert.run();
  expect(done).toEqual(['file']);
  expect(errors).toEqual([
    { err: broken, what: 'lease' },
    { err: broken, what: 'process' },
  ]);
});

it('undoes nothing after a commit, and nothing twice', async () => {
  let undone = 0;
  const revert = createRevert(silentLogger);
  revert.push('kept', () => undone++);
  revert.commit();
  await revert.run();
  expect(undone).toBe(0);
  revert.push('later', () => undone++);
  await Promise.all([revert.run(), revert.run()]);
  expect(undone).toBe(1);
});
