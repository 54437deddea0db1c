/** Refusals fill the log only so fast, however many addresses of one network they come from. */
import { silentLogger } from '@aviary/kernel';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from '../identity/testing.ts';
import { createAudit } from './index.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

it('counts an IPv6 network as one, drops what is over and says how much that was', async () => {
  const { db, clock } = world;
  const audit = createAudit({ db, clock, log: silentLogger, refusalsPerMinute: 2 });
  const from = (ip: string) =>
    audit.refused({
      action: 'account.login',
      outcome: 'refused',
      actor: { kind: 'nobody', ip },
      teamId: null,
      resource: null,
      details: { code: 'invalid_credentials' },
    });
  for (let n = 1; n <= 5; n++) await from(`2001:db8:1:2::${n}`);
  await from('2001:db8:1:3::1');
  const rows = async () =>
    (await audit.query({ outcome: 'refused' })).records.map(({ ip, details }) => [ip, details]);
  const code = 'invalid_credentials';
  expect(await rows()).toEqual([
    ['2001:db8:1:3::1', { code }],
    ['2001:db8:1:2::2', { code }],
    ['2001:db8:1:2::1', { code }],
  ]);
  await clock.advance(61_000);
  await from('2001:db8:1:2::9');
  expect((await rows())[0]).toEqual(['2001:db8:1:2::9', { code, dropped_before: 3 }]);
});
