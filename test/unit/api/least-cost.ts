/**
 * How many times as long one thing takes as another, each by its quickest of several runs in this very process: a ratio
 * that a busy machine hardly moves, as a time would be.
 */
export function costRatio(dear: () => unknown, usual: () => unknown, runs = 7): number {
  return quickest(dear, runs) / Math.max(quickest(usual, runs), 0.001);
}

function quickest(run: () => unknown, runs: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let k = 0; k < runs; k++) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
