import { gridLevels, sampleQuantiles } from "../quantiles/quantile-grid.ts";
import { powers } from "./day-profile.ts";
import { type ExpertInput, stepsIn } from "./expert.ts";

/** Which samples are taken from earlier days, and what they are added to. */
export interface DaySampling {
  /** For each step of the history, NaN where missing: the sample, before its level is subtracted. */
  readonly residual: Float64Array;
  /** For each lead: what is added to each sample. */
  readonly base: Float64Array;
  /** The sample where no day has one. */
  readonly fallback: number;
  /** Levels known at each step (length n + 1) and their shares by lead, `[lead · levels + level]`; may be empty. */
  readonly levels: readonly Float64Array[];
  readonly shares: Float64Array;
  /** The first step with a usable level. */
  readonly from: number;
  /** Weight of a day relative to the next one. */
  readonly fading: number;
  /** Weights between days of the week. */
  readonly days: Float64Array;
}

/** Weighted quantiles of the samples within ± 30 minutes of the same local time on each earlier day. */
export function quantilesOfDays(past: ExpertInput, sampling: DaySampling): Float64Array {
  const { residual, base, fallback, levels, shares, from, days } = sampling;
  const { leads, dayLags } = past;
  const { dayOfWeek, offsetSteps } = past.calendar;
  const n = residual.length;
  const many = levels.length;

  const half = Math.floor(stepsIn(past, 30));
  const stride = Math.max(1, Math.floor(half / 3)); // about 7 positions a day: twice as many are not better (measured)
  const each = Math.floor(half / stride);
  const fade = powers(sampling.fading, dayLags.length);
  const scratch = new Float64Array(dayLags.length * (2 * each + 1));
  const weights = new Float64Array(scratch.length);
  const out = new Float64Array(gridLevels.length * leads.length);

  for (let l = 0; l < leads.length; l++) {
    const lead = leads[l];
    const i = n + lead;
    const row = dayOfWeek[i] * 7;
    const first = lead + from; // an earlier sample has no level to subtract
    let count = 0;
    for (let d = 1; d < dayLags.length; d++) {
      const day = i - dayLags[d];
      if (day < 0) break;
      const anchor = day + offsetSteps[i] - offsetSteps[day];
      for (let e = -each; e <= each; e++) {
        const s = anchor + e * stride;
        if (s < first || s >= n) continue;
        let value = residual[s];
        if (Number.isNaN(value)) continue;
        for (let p = 0; p < many; p++) value -= shares[l * many + p] * levels[p][s - lead];
        scratch[count] = base[l] + value;
        weights[count] = (1 - Math.abs(e * stride) / (half + 1)) * fade[d - 1] * days[row + dayOfWeek[s]];
        count++;
      }
    }
    sampleQuantiles({ values: scratch, weights, count }, base[l] + fallback, out, l, leads.length);
  }
  return out;
}
