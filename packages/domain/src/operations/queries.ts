/** Everything the area reads for others. Inside the area. */
import type { Executor } from '@aviary/db';
import type { Operation, OperationLogLine, OperationState } from './model.ts';
import type { OperationTable } from './schema.ts';

export async function findOperation(
  db: Executor,
  id: string,
  teamId?: string,
): Promise<Operation | undefined> {
  let select = db.selectFrom('operation').selectAll().where('id', '=', id);
  if (teamId !== undefined) select = select.where('team_id', '=', teamId);
  const row = await select.executeTakeFirst();
  return row === undefined ? undefined : toOperation(row);
}

/** Newest first; `before` is the id of the last one of the previous page. */
export async function listOperations(
  db: Executor,
  query: {
    teamId?: string;
    subject?: string;
    kind?: string;
    states?: readonly OperationState[];
    before?: string;
    limit?: number;
  },
): Promise<Operation[]> {
  let select = db
    .selectFrom('operation')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit ?? 100);
  if (query.teamId !== undefined) select = select.where('team_id', '=', query.teamId);
  if (query.subject !== undefined) select = select.where('subject', '=', query.subject);
  if (query.kind !== undefined) select = select.where('kind', '=', query.kind);
  if (query.states !== undefined) select = select.where('state', 'in', [...query.states]);
  const { before } = query;
  if (before !== undefined) {
    select = select.where((eb) =>
      eb(
        eb.refTuple('created_at', 'id'),
        '<',
        eb
          .selectFrom('operation')
          .select(['created_at', 'id'])
          .where('id', '=', before)
          .$asTuple('created_at', 'id'),
      ),
    );
  }
  return (await select.execute()).map(toOperation);
}

/** Lines after `afterSeq`, oldest first, at most 1,000. */
export function listLines(db: Executor, id: string, afterSeq: number): Promise<OperationLogLine[]> {
  return db
    .selectFrom('operation_log')
    .select(['seq', 'at', 'text'])
    .where('operation_id', '=', id)
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(1_000)
    .execute();
}

function toOperation(row: OperationTable): Operation {
  const { error_code: code, error_message: message, progress_text: text } = row;
  return {
    id: row.id,
    kind: row.kind,
    subject: row.subject,
    teamId: row.team_id,
    state: row.state,
    input: row.input,
    result: row.result,
    error: code === null ? null : { code, message: message ?? '' },
    progress: text === null ? null : { text, percent: row.progress_percent },
    attempt: row.attempt,
    cancelRequested: row.cancel_requested,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    runAt: row.run_at,
  };
}
