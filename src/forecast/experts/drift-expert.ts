import { weightedQuantiles } from "../../series/statistics/weighted-quantile.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels } from "../quantiles/quantile-grid.ts";
import { type Expert, type ExpertInput, stepsIn } from "./expert.ts";
import { levelsBefore } from "./level.ts";

/** As many past changes as this tell their quantiles well enough. */
const mostSamples = 120;
/** What a day does to the root of a typical load when no day was seen yet: one sd, reached within six hours. */
const unseenDay = 0.25;

/**
 * The level of now, and how far it moved before: for histories too short to know a day. Changes over longer spans than half
 * the history are taken as a random walk's, and what a day may bring is added on top.
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
        // √(d² + e²): the two have nothing to do with one another. ln(p/(1−p))/1.7 is a normal quantile within 0.1.
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
