/** Progress and log lines of one running operation, gathered and written at most twice a second. Inside the area. */
import type { Database } from '@aviary/db';
import type { Clock, Logger } from '@aviary/kernel';
import { writeNotes } from './store.ts';

/** Milliseconds between writes. */
const EVERY = 500;

export interface Notes {
  progress(text: string, percent: number | null): void;
  log(text: string): void;
  /** Writes what is gathered, and gathers no more. */
  close(): Promise<void>;
}

export function createNotes(
  deps: { db: Database; clock: Clock; log: Logger },
  operation: { id: string; fence: number },
): Notes {
  const { db, clock, log } = deps;
  const closing = new AbortController();
  let progress: { text: string; percent: number | null } | null = null;
  let lines: { at: Date; text: string }[] = [];
  let writing: Promise<void> | null = null;

  const write = async () => {
    const [latest, batch] = [progress, lines];
    progress = null;
    lines = [];
    // notes are worth less than the work they are about: a failing write is said and not repeated
    await writeNotes(db.kysely, operation, latest, batch).catch((error: unknown) =>
      log.warn({ err: error, operation: operation.id }, 'progress or log lines are lost'),
    );
  };
  const soon = () => {
    writing ??= (async () => {
      await clock.sleep(EVERY, closing.signal).catch(() => undefined);
      writing = null;
      await write();
    })();
  };
  return {
    progress: (text, percent) => {
      progress = { text, percent };
      soon();
    },
    log: (text) => {
      lines.push({ at: clock.now(), text });
      soon();
    },
    close: async () => {
      closing.abort();
      const last = writing;
      if (last !== null) await last;
      if (progress !== null || lines.length > 0) await write();
    },
  };
}
