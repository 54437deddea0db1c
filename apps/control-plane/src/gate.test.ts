import { isAviaryError } from '@aviary/kernel';
import { expect, it } from 'vitest';
import { openGate } from './gate.ts';
import { parseListen } from './listen.ts';

it('says what it waits for until the app takes over', async () => {
  const gate = await openGate(parseListen('127.0.0.1:0'));
  const url = `http://127.0.0.1:${gate.port}`;
  gate.waitFor('the database');
  const health = await fetch(`${url}/healthz`);
  expect([health.status, health.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await health.json()).toEqual({ status: 'starting', waits_for: 'the database' });
  const other = await fetch(`${url}/v1/capsules`);
  expect(other.status).toBe(503);
  expect(await other.json()).toEqual({ error: { code: 'starting', message: 'starting: the database' } });

  gate.open((_, response) => response.end('app'));
  expect(await (await fetch(`${url}/healthz`)).text()).toBe('app');
  const closed = new Promise((resolve) => gate.server.once('close', resolve));
  gate.drain();
  await closed;
  await expect(fetch(url)).rejects.toThrow();
});

it('says plainly that the port is taken', async () => {
  const gate = await openGate(parseListen('127.0.0.1:0'));
  const error = await openGate(parseListen(`127.0.0.1:${gate.port}`)).catch((e: unknown) => e);
  expect(isAviaryError(error, 'conflict')).toBe(true);
  expect(String(error)).toContain('in use');
  gate.server.close();
});
