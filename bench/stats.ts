/** Samples and what is said of them. For the benchmarks. */

/** Milliseconds of each round. */
export type Samples = readonly number[];

/** The value that `share` (0-1) of the samples do not exceed (nearest rank). */
export function percentile(samples: Samples, share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Runs `round` so many times, one after the other; answers what it measured, milliseconds. */
export async function sample(rounds: number, round: (n: number) => Promise<number>): Promise<number[]> {
  const samples: number[] = [];
  for (let n = 0; n < rounds; n++) samples.push(await round(n));
  return samples;
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
