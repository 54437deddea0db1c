/** JSON lines on stderr, or short lines when a person looks at it. Made once, by main. */
import type { Logger } from '@aviary/kernel';
import { pino } from 'pino';

/**
 * What a person sees of a line: time, level, sentence, and of the rest only the error and the request's id.
 * Texts of clients are in some errors, and a terminal obeys control characters: none gets through.
 */
export function forPeople(line: string): string {
  const { time, level, msg, err, requestId } = JSON.parse(line) as {
    time: string;
    level: number;
    msg: string;
    err?: Error;
    requestId?: string;
  };
  const name = (pino.levels.labels[level] ?? '').padEnd(5);
  const request = requestId === undefined ? '' : ` (request ${requestId})`;
  const text = `${time.slice(11, 19)} ${name} ${msg}${err ? `: ${err.message}` : ''}${request}`;
  return `${text.replace(/\p{Cc}+/gu, ' ')}\n`;
}

/** A logger of that least level. What looks like a credential is never written. */
export function createLogger(level: string, toPerson = process.stderr.isTTY === true): Logger {
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
    toPerson
      ? { write: (line: string) => process.stderr.write(forPeople(line)) }
      : pino.destination({ dest: 2, sync: true }),
  );
}
