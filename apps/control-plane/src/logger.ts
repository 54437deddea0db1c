/** JSON lines on stderr, or short lines when a person looks at it. Made once, by main. */
import type { Logger } from '@aviary/kernel';
import { pino } from 'pino';

/** What a person sees: time, level, sentence, and of the rest only the error. */
const forPeople = {
  write: (line: string) => {
    const { time, level, msg, err } = JSON.parse(line) as {
      time: string;
      level: number;
      msg: string;
      err?: Error;
    };
    const name = pino.levels.labels[level] ?? '';
    process.stderr.write(`${time.slice(11, 19)} ${name.padEnd(5)} ${msg}${err ? `: ${err.message}` : ''}\n`);
  },
};

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
    toPerson ? forPeople : pino.destination({ dest: 2, sync: true }),
  );
}
