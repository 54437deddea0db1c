/** Output that waits for its reader: hands pieces out in order and returns credit for what was taken. guest-link only. */

/** `size` is what a piece costs of the window, in bytes. */
export interface OutputQueue<Piece> {
  push(piece: Piece, size: number): void;
  /** No more pieces come; a reader gets `error` (or the end) after those that wait. */
  end(error?: Error): void;
  /** Drops what waits. */
  discard(): void;
  /** Resolves when everything was handed out after `end`. */
  readonly drained: Promise<void>;
  readonly pieces: AsyncIterable<Piece>;
}

/** `taken` is called with the bytes that a reader took, each time a piece is handed out. */
export function createOutputQueue<Piece>(taken: (bytes: number) => void): OutputQueue<Piece> {
  let waiting: { piece: Piece; size: number }[] = [];
  let at = 0;
  let ended = false;
  let failure: Error | undefined;
  let wake: (() => void) | null = null;
  let resolveDrained: () => void = () => undefined;
  const drained = new Promise<void>((resolve) => {
    resolveDrained = resolve;
  });

  const next = async (): Promise<IteratorResult<Piece>> => {
    for (;;) {
      const item = waiting[at];
      if (item) {
        at++;
        if (at === waiting.length || at >= 64) {
          waiting = waiting.slice(at);
          at = 0;
        }
        taken(item.size);
        if (ended && waiting.length === at) resolveDrained();
        return { done: false, value: item.piece };
      }
      if (failure) throw failure;
      if (ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        const before = wake;
        wake = () => {
          before?.();
          resolve();
        };
      });
    }
  };

  const notify = () => {
    const call = wake;
    wake = null;
    call?.();
  };

  return {
    push: (piece, size) => {
      if (ended) return;
      waiting.push({ piece, size });
      notify();
    },
    end: (error) => {
      if (ended) return;
      ended = true;
      failure = error;
      if (waiting.length === at) resolveDrained();
      notify();
    },
    discard: () => {
      waiting = [];
      at = 0;
      if (ended) resolveDrained();
    },
    drained,
    pieces: {
      [Symbol.asyncIterator]: () => ({ next, return: async () => ({ done: true, value: undefined }) }),
    },
  };
}
