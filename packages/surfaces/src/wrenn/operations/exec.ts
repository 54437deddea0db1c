/** wrenn's exec: waited for, or started in the background. */
import type { Capsules } from '@aviary/domain/capsules';
import type { Clock } from '@aviary/kernel';
import { http } from '../../kit/index.ts';
import { timeoutOf, toGuestExec } from '../exec-request.ts';
import { type ForegroundResult, runForeground } from '../foreground.ts';
import type { ExecRequest, ExecResponse } from '../wire.ts';

/** Arguments, environment and stdin together, bytes. */
const BODY_LIMIT = 16 * 1024 * 1024;

export const execOperations = (capsules: Capsules, clock: Clock) => ({
  execCommand: http<ExecRequest>({
    access: { who: 'team' },
    bodyLimit: BODY_LIMIT,
    handle: async ({ actor, params, body, reply, gone }) => {
      const id = params['id']!;
      const timeoutSec = timeoutOf(body);
      const request = toGuestExec(body);
      return capsules.use(actor, id, async (guest) => {
        if (body.background === true) {
          const process = await guest.exec({ ...request, background: true });
          process.detach();
          reply.code(202);
          return { sandbox_id: id, cmd: body.cmd, pid: process.pid, tag: process.tag };
        }
        reply.code(200);
        return toExecResponse(
          id,
          body.cmd,
          timeoutSec,
          await runForeground(guest, request, { stdin: body.stdin, timeoutSec, gone, clock }),
        );
      });
    },
  }),
});

function toExecResponse(id: string, cmd: string, timeoutSec: number, result: ForegroundResult): ExecResponse {
  return {
    sandbox_id: id,
    cmd,
    stdout: result.stdout,
    stderr: result.stderr,
    exit_code: result.exitCode,
    duration_ms: result.durationMs,
    encoding: result.encoding,
    timed_out: result.timedOut,
    truncated: result.truncated,
    ...(result.timedOut
      ? {
          error: {
            code: 'timeout' as const,
            message: `the command took longer than ${timeoutSec} s and was killed; raise timeout_sec or use background`,
          },
        }
      : {}),
  };
}
