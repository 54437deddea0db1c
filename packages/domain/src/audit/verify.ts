/** Walks the whole chain and finds the first row that is not as it was written. Inside the area. */
import type { Database } from '@aviary/db';
import { sql } from 'kysely';
import { GENESIS, linkHash } from './chain.ts';
import type { AuditVerdict } from './model.ts';
import type { AuditLogTable } from './schema.ts';

const PAGE = 1_000;

type Link = Omit<AuditLogTable, 'seq'> & {
  position: number;
  link_seq: number;
  seq: number | null;
  hash: Buffer;
};

/**
 * Finds changed rows, removed rows, removed or changed links, and rows that were put in beside the chain. What
 * it cannot find alone: the newest rows removed together with their links. Keep `head` elsewhere for that.
 */
export async function verifyChain(db: Database): Promise<AuditVerdict> {
  let head: Buffer = GENESIS;
  let position = 0;
  for (;;) {
    const { rows } = await sql<Link>`select c.position, c.seq as link_seq, c.hash, l.*
      from audit_chain c left join audit_log l on l.seq = c.seq
      where c.position > ${position} order by c.position limit ${PAGE}`.execute(db.kysely);
    for (const row of rows) {
      position += 1;
      if (row.position !== position) return broken(row.link_seq, 'the link before it was removed');
      if (row.seq === null) return broken(row.link_seq, 'the row was removed');
      head = linkHash(head, { ...row, seq: row.seq });
      if (!head.equals(row.hash)) return broken(row.seq, 'the row or its link was changed');
    }
    if (rows.length < PAGE) break;
  }
  // one statement, so that a row that is being chained is in exactly one of the two
  const { rows } = await sql<{ stray: number | null; pending: number }>`select
    (select min(l.seq) from audit_log l
      where not exists (select 1 from audit_chain c where c.seq = l.seq)
        and not exists (select 1 from audit_pending p where p.seq = l.seq)) as stray,
    (select count(*) from audit_pending) as pending`.execute(db.kysely);
  const { stray, pending } = rows[0] ?? { stray: null, pending: 0 };
  if (stray !== null) return broken(stray, 'the row has no link');
  return { ok: true, rows: position, unchained: pending, head: head.toString('hex') };
}

function broken(seq: number, why: string): AuditVerdict {
  return { ok: false, seq, why };
}
