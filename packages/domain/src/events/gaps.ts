/**
 * Numbers are drawn before transactions commit, so they become visible out of order and some never do. This
 * keeps track: which numbers are new, and up to where nothing can appear any more. Pure; inside the area.
 *
 * A missing number belongs to a transaction that got its id before it drew the number, so before any id that
 * is given out after we missed it: that one is its horizon. (A snapshot's own xmax will not do: it is one above
 * the last transaction that ended, and younger ones may run.) Once a glimpse has `xmin` at or above the
 * horizon, the transaction has ended; a number that is still missing then was rolled back.
 */
export interface Gaps {
  /** Everything up to here is final. */
  readonly settled: number;
  /** True when numbers are missing that have no horizon yet: draw a transaction id now and call `bound`. */
  readonly unbounded: boolean;
  /** Takes the numbers above `settled` that a glimpse showed; answers those it had not shown before. */
  observe(seqs: readonly number[], xmin: bigint): number[];
  /** Gives the numbers that were missing so far their horizon: a transaction id drawn after they were missed. */
  bound(horizon: bigint): void;
}

/** Starts with everything up to `start` settled. */
export function createGaps(start: number): Gaps {
  let settled = start;
  const seen = new Set<number>();
  const missing = new Map<number, bigint | null>();
  const isOver = (seq: number, xmin: bigint) => {
    const horizon = missing.get(seq);
    return seen.has(seq) || (typeof horizon === 'bigint' && xmin >= horizon);
  };
  return {
    get settled() {
      return settled;
    },
    get unbounded() {
      return [...missing.values()].includes(null);
    },
    observe: (seqs, xmin) => {
      const fresh = seqs.filter((seq) => seq > settled && !seen.has(seq));
      for (const seq of fresh) {
        seen.add(seq);
        missing.delete(seq);
      }
      const high = seqs.at(-1) ?? settled;
      for (let seq = settled + 1; seq <= high; seq += 1) {
        if (!seen.has(seq) && !missing.has(seq)) missing.set(seq, null);
      }
      while (isOver(settled + 1, xmin)) {
        settled += 1;
        seen.delete(settled);
        missing.delete(settled);
      }
      return fresh;
    },
    bound: (horizon) => {
      for (const [seq, known] of missing) if (known === null) missing.set(seq, horizon);
    },
  };
}
