import { weightedQuantiles } from "../../series/statistics/weighted-quantile.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels } from "../quantiles/quantile-grid.ts";
import { type Expert, type ExpertInput, stepsIn } from "./expert.ts";
import { levelsBefore } from "./level.ts";

/** So many past changes are enough for their quantiles. */
const mostSamples = 120;
/** Standard deviation of the root of a typical load over an unknown day, reached within six hours. */
const unseenDay = 0.25;

/**
 * The present level and its past changes: for histories shorter than a day. Changes over more than half the history are
 * extrapolated as a random walk, and the uncertainty of an unknown day is added.
 */
export const drift: Expert = {
  name: "drift",
  forecast(past) {
    const { rooted, leads } = past;
    const n = rooted.length;
    const level = levelsBefore(rooted, Math.max(0.35, Math.min(stepsIn(past, 15), n / 8)));
    const daysSeen = n / past.stepsPerDay;
    const longest = Math.max(1, Math.floor(n / 2));
    const scratch = new Float64Array(mostSamples + 2);
    const weights = new Float64Array(mostSamples + 2).fill(1);
    const changes = new Float64Array(gridLevels.length);
    const out = new Float64Array(gridLevels.length * leads.length);
    for (let l = 0; l < leads.length; l++) {
      const span = Math.min(leads[l] + 1, longest);
      const count = sampleChanges(rooted, level, span, scratch);
      changes.fill(0);
      weights.fill(1);
      weightedQuantiles({ values: scratch, weights, count }, gridLevels, changes);
      const grown = Math.sqrt((leads[l] + 1) / span);
      const unseen = unseenSpread(past, leads[l], daysSeen);
      for (let q = 0; q < gridLevels.length; q++) {
        // √(d² + e²): the two are independent. ln(p/(1−p))/1.7 is a normal quantile within 0.1.
        const normal = Math.log(gridLevels[q] / (1 - gridLevels[q])) / 1.7;
        const moved = changes[q] * grown;
        out[q * leads.length + l] = level[n] + Math.sign(normal) * Math.hypot(moved, unseen * normal);
      }
    }
    return signedSquaresInPlace(out);
  },
};

/** Changes from the level before a step to the sample `span − 1` steps on, at most `mostSamples` of them. @returns how many */
function sampleChanges(rooted: Float64Array, level: Float64Array, span: number, into: Float64Array): number {
  const n = rooted.length;
  const stride = Math.max(1, Math.ceil((n - span) / mostSamples));
  let count = 0;
  for (let k = n - span; k >= 1; k -= stride) {
    const value = rooted[k + span - 1];
    if (!Number.isNaN(value)) into[count++] = value - level[k];
  }
  return count;
}

function unseenSpread({ rooted, stepMinutes }: ExpertInput, lead: number, daysSeen: number): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < rooted.length; i++) {
    if (Number.isNaN(rooted[i])) continue;
    sum += Math.abs(rooted[i]);
    count++;
  }
  const typical = count > 0 ? sum / count : 0;
  const hours = ((lead + 1) * stepMinutes) / 60;
  return unseenDay * typical * Math.sqrt(Math.min(1, hours / 6)) * Math.max(0, 1 - daysSeen);
}
