import { clipTo } from "../../series/statistics/robust-statistics.ts";

/**
 * Share, 0 … 1, of a known quantity that the residuals of a backtest show: the least-squares slope through 0, shrunk towards
 * 0, with outliers clipped.
 *
 * @param pairs the known quantity and the residual beside it, both in spreads
 */
export function correctionShare(pairs: Iterable<readonly [known: number, residual: number]>): number {
  let product = 0;
  let square = 0;
  for (const [known, residual] of pairs) {
    const x = clipTo(known, 6);
    product += x * clipTo(residual, 6);
    square += x * x;
  }
  return clipTo(Math.max(0, product / (square + 4)), 1);
}
