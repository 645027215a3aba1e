import type { ExpertWeights } from "../learned-weights.ts";

/** An expert below this weight in every bucket of leads is not named. */
const leastNamed = 0.1;

/**
 * A sentence on how a forecast was made: the experts with their mean weights, largest first, or why all weights are equal.
 */
export function describeWeights({ experts, weights, origins }: ExpertWeights): string {
  if (origins === 0) return `equal weights, wide intervals (history too short for a backtest): ${experts.join(", ")}`;
  const shares = experts.map((name, x) => ({
    name,
    mean: weights.reduce((sum, bucket) => sum + bucket[x], 0) / weights.length,
    most: Math.max(...weights.map((bucket) => bucket[x])),
  }));
  const counted = shares.filter(({ most }) => most >= leastNamed).toSorted((a, b) => b.mean - a.mean);
  const words = counted.map(({ name, mean }) => `${name} ${Math.round(100 * mean)} %`).join(", ");
  return `quantile experts weighted by a backtest from ${origins} origins: ${words}`;
}
