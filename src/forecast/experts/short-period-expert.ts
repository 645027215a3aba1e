import { presentMean } from "../../series/gaps.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { detectShortPeriod } from "../periods/detect-short-period.ts";
import { gridLevels, sampleQuantiles } from "../quantiles/quantile-grid.ts";
import { type Profile, powers } from "./day-profile.ts";
import { type Expert, type ExpertInput, stepsIn } from "./expert.ts";
import { levelShares, levelsBefore } from "./level.ts";
import { addLevels, fitOf, subtract } from "./profile-experts.ts";
import { recentResiduals } from "./recent-residuals.ts";

/** Cycles that are used, and the weight of a cycle relative to the next one. */
const cycles = 40;
const fading = 0.93;

/** Continues a period shorter than half a day (batch jobs, cron ticks); without one, `recentResiduals`. */
export const shortPeriod: Expert = {
  name: "short period",
  forecast(past) {
    const n = past.rooted.length;
    const period = detectShortPeriod(past.rooted.subarray(n - Math.min(n, 4 * past.stepsPerDay)), past.stepsPerDay);
    return period === undefined ? recentResiduals(past) : quantilesOfCycles(past, period.steps);
  },
};

function quantilesOfCycles(past: ExpertInput, period: number): Float64Array {
  const { leads } = past;
  const n = past.rooted.length;
  const profile = cycleProfile(past, period);
  const residual = subtract(past.rooted, profile.past);
  const levels = [5, 60].map((minutes) => levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))));
  const shares = levelShares(residual, levels, leads, past.horizon, { ...fitOf(past), penalty: 0.5 });
  const base = addLevels(profile.ahead, levels, shares);
  const many = levels.length;

  const first = Math.max(2, Math.floor(past.stepsPerDay / 8));
  const fade = powers(fading, cycles);
  const scratch = new Float64Array(cycles);
  const weights = new Float64Array(cycles);
  const out = new Float64Array(gridLevels.length * leads.length);
  for (let l = 0; l < leads.length; l++) {
    const lead = leads[l];
    const back = Math.ceil((lead + 1) / period);
    let count = 0;
    for (let c = 0; c < cycles; c++) {
      const s = Math.floor(n + lead - (back + c) * period + 0.5);
      if (s < lead + first) break;
      if (s >= n) continue;
      let value = residual[s];
      if (Number.isNaN(value)) continue;
      for (let p = 0; p < many; p++) value -= shares[l * many + p] * levels[p][s - lead];
      scratch[count] = base[l] + value;
      weights[count] = fade[c];
      count++;
    }
    sampleQuantiles({ values: scratch, weights, count }, base[l], out, l, leads.length);
  }
  return signedSquaresInPlace(out);
}

/** Weighted mean of the same phase in earlier cycles; the mean of the series where there is none. */
function cycleProfile({ rooted, leads }: ExpertInput, period: number): Profile {
  const n = rooted.length;
  const fade = powers(fading, cycles);
  const fallback = presentMean(rooted);
  const at = (i: number): number => {
    let sum = 0;
    let weights = 0;
    const back = i < n ? 1 : Math.ceil((i - n + 1) / period);
    for (let c = 0; c < cycles; c++) {
      const s = Math.floor(i - (back + c) * period + 0.5);
      if (s < 0) break;
      if (s >= n) continue;
      const value = rooted[s];
      if (Number.isNaN(value)) continue;
      sum += fade[c] * value;
      weights += fade[c];
    }
    return weights > 0 ? sum / weights : fallback;
  };
  const past = new Float64Array(n);
  for (let i = 0; i < n; i++) past[i] = at(i);
  const ahead = new Float64Array(leads.length);
  for (let l = 0; l < ahead.length; l++) ahead[l] = at(n + leads[l]);
  return { past, ahead };
}
