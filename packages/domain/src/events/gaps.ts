/**
 * Numbers are drawn before transactions commit, so they become visible out of order and some never do. This
 * keeps track: which numbers are new, and up to where nothing can appear any more. Pure; inside the area.
 *
 * A missing number belongs to a transaction that had its id when we first missed it, so it is below the
 * `xmax` of that glimpse. Once a later glimpse has `xmin` at or above that, the transaction has ended; a
 * number that is still missing then was rolled back.
 */
export interface Gaps {
  /** Everything up to here is final. */
  readonly settled: number;
  /** Takes the numbers above `settled` that a glimpse showed; answers those it had not shown before. */
  observe(seqs: readonly number[], xmin: bigint, xmax: bigint): number[];
}

/** Starts with everything up to `start` settled. */
export function createGaps(start: number): Gaps {
  let settled = start;
  const seen = new Set<number>();
  const missing = new Map<number, bigint>();
  return {
    get settled() {
      return settled;
    },
    observe: (seqs, xmin, xmax) => {
      const fresh = seqs.filter((seq) => seq > settled && !seen.has(seq));
      for (const seq of fresh) seen.add(seq);
      const high = seqs.at(-1) ?? settled;
      for (let seq = settled + 1; seq <= high; seq += 1) {
        if (!seen.has(seq) && !missing.has(seq)) missing.set(seq, xmax);
      }
      for (let next = settled + 1; seen.has(next) || isDead(missing.get(next), xmin); next += 1) {
        seen.delete(next);
        missing.delete(next);
        settled = next;
      }
      return fresh;
    },
  };
}

function isDead(missedAt: bigint | undefined, xmin: bigint): boolean {
  return missedAt !== undefined && xmin >= missedAt;
}
