/** The audit log against a real database: append-only, chained, and telling what was done to it. */
import { transaction } from '@aviary/db';
import { silentLogger } from '@aviary/kernel';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../identity/index.ts';
import { codeOf, createWorld, type World } from '../identity/testing.ts';
import { createAudit } from './index.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const entry = (id: string, details: AuditEntry['details'] = {}): AuditEntry => ({
  action: 'capsule.create',
  outcome: 'done',
  actor: { kind: 'apiKey', keyId: 'key-1', name: 'ci', teamId: 'team-1', ip: '198.51.100.1' },
  teamId: 'team-1',
  resource: { type: 'capsule', id },
  details,
});
const write = (...ids: string[]) =>
  transaction(world.db.kysely, async (trx) => {
    for (const id of ids) await world.audit.record(trx, entry(id, { n: id, list: ['a', 'b'], at: 1.5 }));
  });
/** What somebody does who owns the tables and is not stopped by triggers. */
const tamper = async (statement: string) => {
  await sql`grant update, delete, truncate on audit_log, audit_chain to current_user`.execute(
    world.db.kysely,
  );
  for (const table of ['audit_log', 'audit_chain']) {
    await sql`alter table ${sql.table(table)} disable trigger append_only`.execute(world.db.kysely);
  }
  await sql.raw(statement).execute(world.db.kysely);
};

describe('the tables', () => {
  it.each([
    `update audit_log set action = 'x'`,
    `delete from audit_log`,
    `truncate audit_log cascade`,
    `update audit_chain set hash = ''`,
    `delete from audit_chain`,
  ])('refuse: %s', async (statement) => {
    await write('a');
    await world.audit.chain();
    await expect(sql.raw(statement).execute(world.db.kysely)).rejects.toThrow(
      /append-only|permission denied/,
    );
    // and the trigger alone refuses too, should the privilege be granted again
    await sql`grant update, delete, truncate on audit_log, audit_chain to current_user`.execute(
      world.db.kysely,
    );
    await expect(sql.raw(statement).execute(world.db.kysely)).rejects.toThrow('append-only');
  });
});

describe('the chain', () => {
  it('covers every row, whoever chains', async () => {
    await write('a', 'b');
    const replica = createAudit({ db: await world.db.replica(), clock: world.clock, log: silentLogger });
    await Promise.all([write('c'), world.audit.chain(), replica.chain(), write('d'), replica.chain()]);
    await world.audit.chain();
    const verdict = await world.audit.verify();
    expect(verdict).toMatchObject({ ok: true, rows: 4, unchained: 0 });
    expect(await replica.verify()).toEqual(verdict);
  });

  it('says what is not chained yet', async () => {
    await write('a');
    await world.audit.chain();
    await write('b', 'c');
    expect(await world.audit.verify()).toMatchObject({ ok: true, rows: 1, unchained: 2 });
  });

  it('goes on in the background, and to the end when it stops', async () => {
    await world.audit.start();
    await write('a', 'b');
    await world.audit.stop();
    expect(await world.audit.verify()).toMatchObject({ rows: 2, unchained: 0 });
  });

  it.each([
    ['a changed row', `update audit_log set details = '{"n":"evil"}' where seq = 3`, 3, 'changed'],
    ['a changed time', `update audit_log set at = at + interval '1 ms' where seq = 2`, 2, 'changed'],
    ['a changed actor', `update audit_log set actor_name = 'x' where seq = 5`, 5, 'changed'],
    ['a removed row', 'delete from audit_log where seq = 4', 4, 'removed'],
    ['a removed link', 'delete from audit_chain where seq = 4', 5, 'removed'],
    [
      'a removed row and link',
      'delete from audit_chain where seq = 1; delete from audit_log where seq = 1',
      2,
      'removed',
    ],
    ['a changed link', `update audit_chain set hash = sha256('x') where seq = 3`, 3, 'changed'],
    ['the last link removed', 'delete from audit_chain where seq = 6', 6, 'no link'],
    [
      'a row put in',
      `insert into audit_log select 99, at, action, outcome, actor_type, actor_id, actor_name, ip, team_id,
        resource_type, resource_id, details from audit_log where seq = 1`,
      99,
      'no link',
    ],
    [
      'two rows swapped',
      "update audit_log set resource_id = case seq when 2 then 'c' else 'b' end where seq in (2, 3)",
      2,
      'changed',
    ],
  ])('finds %s', async (_what, statement, seq, why) => {
    await write('a', 'b', 'c', 'd', 'e', 'f');
    await world.audit.chain();
    expect(await world.audit.verify()).toMatchObject({ ok: true, rows: 6 });
    await tamper(statement);
    expect(await world.audit.verify()).toEqual({ ok: false, seq, why: expect.stringContaining(why) });
  });
});

describe('queries', () => {
  it('page from the newest, by every filter', async () => {
    await write('a', 'b', 'c');
    await world.clock.advance(60_000);
    await write('d');
    await world.audit.refused({ ...entry('e'), outcome: 'refused', teamId: 'team-2' });
    const ids = async (query: Parameters<typeof world.audit.query>[0]) =>
      (await world.audit.query(query)).records.map(({ resource }) => resource?.id);
    const first = await world.audit.query({ teamId: 'team-1', limit: 3 });
    expect(first.records.map(({ resource }) => resource?.id)).toEqual(['d', 'c', 'b']);
    const second = await world.audit.query({ teamId: 'team-1', limit: 3, cursor: first.cursor ?? '' });
    expect(second).toMatchObject({ records: [{ resource: { id: 'a' } }], cursor: null });
    expect(await ids({ outcome: 'refused' })).toEqual(['e']);
    expect(await ids({ resourceId: 'b', actorId: 'key-1', action: 'capsule.create' })).toEqual(['b']);
    expect(await ids({ until: world.clock.now() })).toEqual(['c', 'b', 'a']);
    expect(await ids({ since: world.clock.now(), teamId: 'team-1' })).toEqual(['d']);
    expect(first.records[1]).toMatchObject({
      actor: { type: 'api_key', id: 'key-1', name: 'ci' },
      ip: '198.51.100.1',
      details: { n: 'c', list: ['a', 'b'], at: 1.5 },
    });
  });

  it.each([{ cursor: 'x' }, { limit: 0 }, { limit: 501 }])('refuse %j', async (query) => {
    expect(await codeOf(world.audit.query(query))).toBe('invalid_request');
  });
});

it('rolls back with what it was about', async () => {
  const undone = transaction(world.db.kysely, async (trx) => {
    await world.audit.record(trx, entry('a'));
    throw new Error('no');
  });
  await expect(undone).rejects.toThrow('no');
  await write('b');
  await world.audit.chain();
  expect(await world.audit.verify()).toMatchObject({ ok: true, rows: 1, unchained: 0 });
});
