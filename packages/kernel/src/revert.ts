/**
 * An undo stack for actions of several steps: push an undo after each step, call `commit` at the end.
 * On failure call `run`: the undos run, last first.
 */
import type { Logger } from './logger.ts';

export interface Revert {
  /** Registers the undo of the step that just succeeded. */
  push(what: string, undo: () => unknown): void;
  /** Everything succeeded: the undos are forgotten. */
  commit(): void;
  /** Runs the undos now, last first. A failing undo is logged and does not stop the others. */
  run(): Promise<void>;
}

/** A fresh stack; failures of undos go to `log`. */
export function createRevert(log: Logger): Revert {
  let undos: { what: string; undo: () => unknown }[] = [];
  return {
    push: (what, undo) => {
      undos.push({ what, undo });
    },
    commit: () => {
      undos = [];
    },
    run: async () => {
      for (const { what, undo } of undos.splice(0).reverse()) {
        try {
          await undo();
        } catch (error) {
          log.error({ err: error, what }, 'undo failed');
        }
      }
    },
  };
}
