import type { DemandDistribution } from "../demand/demand-distribution.ts";
import { exceedance } from "../demand/residual-tail.ts";

/**
 * The price of being short that a user's quantile stands for: being short for a while costs as much as `price` times the mean
 * pods for as long. 98 % gives 8, 99 % gives 16: chosen so that the mean time short comes out near 1 − quantile.
 *
 * @param quantile in (0, 1)
 */
export function priceOfQuantile(quantile: number): number {
  return 0.16 / (1 - quantile);
}

/** Above this many candidates the search looks at every few first, and then closely. */
const closeLook = 512;

/**
 * The pods r that cost least: minimises `r / meanPods + price · P(demand > r)` over whole numbers from `least` to `most`.
 * Calm services get little headroom and bursty ones much, with one price.
 */
export function cheapestPods(
  demand: DemandDistribution,
  price: number,
  meanPods: number,
  least: number,
  most: number,
): number {
  const cost = (r: number) => r / meanPods + price * exceedance(demand.tail, (r - demand.base) / demand.scale);
  // Below the smallest residual ever seen the demand is surely above r: there, fewer is cheaper.
  const first = Math.max(least, Math.floor(demand.base + demand.scale * demand.tail.residuals[0]));
  let best = Math.min(Math.max(least, 1), most);
  let lowest = cost(best);
  // More than this costs more than the cheapest, even if demand were surely covered.
  const last = () => Math.min(most, Math.floor(lowest * meanPods));
  const search = (from: number, stride: number) => {
    for (let r = from; r <= last(); r += stride) {
      const costs = cost(r);
      if (costs < lowest) [best, lowest] = [r, costs];
    }
  };
  const stride = Math.max(1, Math.floor((last() - first) / closeLook));
  search(first, stride);
  if (stride > 1) {
    const around = best;
    for (let r = Math.max(least, around - stride); r <= Math.min(most, around + stride); r++) {
      const costs = cost(r);
      if (costs < lowest) [best, lowest] = [r, costs];
    }
  }
  return best;
}
