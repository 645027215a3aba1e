import type { ForecastWeights } from "./quantile-experts.ts";

/** An expert below this share in every bucket of leads is not worth a word. */
const worthAWord = 0.1;

/**
 * A sentence on what made a forecast: the experts by the share that they had, first those that counted most, or why none
 * could be told from another.
 */
export function describeWeights({ experts, weights, replays }: ForecastWeights): string {
  if (replays === 0) return `equal weights, wide bands (history too short to replay): ${experts.join(", ")}`;
  const shares = experts.map((name, x) => ({
    name,
    mean: weights.reduce((sum, bucket) => sum + bucket[x], 0) / weights.length,
    most: Math.max(...weights.map((bucket) => bucket[x])),
  }));
  const counted = shares.filter(({ most }) => most >= worthAWord).toSorted((a, b) => b.mean - a.mean);
  const words = counted.map(({ name, mean }) => `${name} ${Math.round(100 * mean)} %`).join(", ");
  return `quantile experts weighed by ${replays} replays: ${words}`;
}
