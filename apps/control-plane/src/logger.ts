/** JSON lines on stderr. Made once, by main. */
import type { Logger } from '@aviary/kernel';
import { pino } from 'pino';

/** A logger of that least level. What looks like a credential is never written. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['password', 'token', 'key', 'authorization', '*.password', '*.token', '*.authorization'],
        censor: '***',
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
