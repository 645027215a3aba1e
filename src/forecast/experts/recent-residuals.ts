import { presentMean } from "../../series/gaps.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, sampleQuantiles } from "../quantiles/quantile-grid.ts";
import { type ExpertInput, stepsIn } from "./expert.ts";
import { levelShares, levelsBefore } from "./level.ts";
import { addLevels, fitOf } from "./profile-experts.ts";

/** Weight of a day relative to the next one. */
const fading = 0.7;

/**
 * The persisting level plus past residuals at the same lead, at any hour; those that started from a level like the present one have
 * the largest weights.
 */
export function recentResiduals(past: ExpertInput): Float64Array {
  const { leads, stepsPerDay } = past;
  const n = past.rooted.length;
  const mean = presentMean(past.rooted);
  const residual = past.rooted.map((value) => value - mean);
  const fit = fitOf(past);
  const levels = [5, 60, 1440].map((minutes) => levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))));
  const shares = levelShares(residual, levels, leads, past.horizon, { ...fit, penalty: 0.3 });
  const base = addLevels(new Float64Array(leads.length).fill(mean), levels, shares);
  const likeness = weightsOfOrigins(levelsBefore(residual, Math.max(0.35, stepsIn(past, 30))), stepsPerDay);

  // From 5-minute steps on, hourly origins are enough: neighbours are alike.
  const stride = stepsPerDay < 288 ? Math.max(1, Math.floor(stepsPerDay / 72)) : Math.floor(stepsPerDay / 24);
  const many = levels.length;
  const scratch = new Float64Array(Math.floor(n / stride) + 2);
  const weights = new Float64Array(scratch.length);
  const out = new Float64Array(gridLevels.length * leads.length);
  for (let l = 0; l < leads.length; l++) {
    const lead = leads[l];
    let count = 0;
    for (let k = n - lead - 1; k >= fit.from; k -= stride) {
      let value = residual[k + lead];
      if (Number.isNaN(value)) continue;
      for (let p = 0; p < many; p++) value -= shares[l * many + p] * levels[p][k];
      scratch[count] = base[l] + value;
      weights[count] = likeness[k];
      count++;
    }
    sampleQuantiles({ values: scratch, weights, count }, base[l], out, l, leads.length);
  }
  return signedSquaresInPlace(out);
}

/** Weights of past origins: less with age, and less where the level differs from the present one. */
function weightsOfOrigins(level: Float64Array, stepsPerDay: number): Float64Array {
  const n = level.length - 1;
  const now = level[n];
  let mean = 0;
  for (let k = 0; k <= n; k++) mean += level[k] / (n + 1);
  let variance = 0;
  for (let k = 0; k <= n; k++) variance += (level[k] - mean) ** 2 / (n + 1);
  const deviation = Math.sqrt(variance) + 1e-12;
  return level.map((value, k) => {
    const apart = (value - now) / deviation;
    return fading ** ((n - k) / stepsPerDay) * (0.05 + Math.exp(-0.5 * apart * apart));
  });
}
