/**
 * Chains new rows in batches, one process at a time, so that no command waits for another one's link. Rows are
 * chained in the order of `seq` within a batch; the chain's own order is its `position`. Inside the area.
 */
import { type Database, transaction } from '@aviary/db';
import { sql } from 'kysely';
import { GENESIS, linkHash } from './chain.ts';
import type { AuditLogTable } from './schema.ts';

const LOCK = 4_712_030;
const BATCH = 1_000;

/** Chains what is pending now. Answers how many; 0 also when another process is at it. */
export async function chainPending(db: Database): Promise<number> {
  for (let total = 0; ; ) {
    const done = await transaction(db.kysely, async (trx) => {
      const lock = await sql<{ ours: boolean }>`select pg_try_advisory_xact_lock(${LOCK}) as ours`.execute(
        trx,
      );
      if (lock.rows[0]?.ours !== true) return 0;
      const { rows } = await sql<AuditLogTable>`select l.* from audit_pending p join audit_log l using (seq)
        order by seq limit ${BATCH}`.execute(trx);
      if (rows.length === 0) return 0;
      const head = await trx
        .selectFrom('audit_chain')
        .select(['position', 'hash'])
        .orderBy('position', 'desc')
        .limit(1)
        .executeTakeFirst();
      let { position, hash } = head ?? { position: 0, hash: GENESIS };
      const links = rows.map((row) => {
        position += 1;
        hash = linkHash(hash, row);
        return { position, seq: row.seq, hash };
      });
      await trx.insertInto('audit_chain').values(links).execute();
      await sql`delete from audit_pending where seq = any(${links.map(({ seq }) => seq)}::bigint[])`.execute(
        trx,
      );
      return rows.length;
    });
    total += done;
    if (done < BATCH) return total;
  }
}
