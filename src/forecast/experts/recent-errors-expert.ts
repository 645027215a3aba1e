import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, sampleQuantiles } from "../quantiles/quantile-grid.ts";
import { type Expert, stepsIn } from "./expert.ts";
import { levelShares, levelsBefore } from "./level.ts";
import { addLevels, fitOf, profileOf } from "./profile-experts.ts";

/** How many residuals per day, and from how many days, are used: more add little. */
const samplesPerDay = 36;
const days = 5;

/**
 * The daily profile and the level at four speeds, with the residuals of this forecast at the same lead over the last days, at any
 * hour: it adapts at once to noise that has changed.
 */
export const recentErrors: Expert = {
  name: "recent errors",
  trust: [0.2, 0.5, 1],
  forecast(past) {
    const { leads, stepsPerDay } = past;
    const n = past.rooted.length;
    if (n < stepsPerDay) return undefined;
    const { profile, residual } = profileOf(past);
    const levels = [0.1, 15, 120, 1440].map((minutes) =>
      levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))),
    );
    const fit = fitOf(past);
    const shares = levelShares(residual, levels, leads, past.horizon, { ...fit, penalty: 0.05 });
    const base = addLevels(profile.ahead, levels, shares);
    const many = levels.length;

    const stride = Math.max(1, Math.floor(stepsPerDay / samplesPerDay));
    const scratch = new Float64Array(Math.ceil((days * stepsPerDay) / stride) + 1);
    const weights = new Float64Array(scratch.length);
    const aged = Float64Array.from(scratch, (_, c) => 0.5 ** ((c * stride) / stepsPerDay) + 0.002);
    const out = new Float64Array(gridLevels.length * leads.length);
    for (let l = 0; l < leads.length; l++) {
      const lead = leads[l];
      const newest = n - lead - 1;
      const oldest = Math.max(fit.from, newest - days * stepsPerDay + 1);
      let count = 0;
      for (let k = newest, c = 0; k >= oldest; k -= stride, c++) {
        let value = residual[k + lead];
        if (Number.isNaN(value)) continue;
        for (let p = 0; p < many; p++) value -= shares[l * many + p] * levels[p][k];
        scratch[count] = base[l] + value;
        weights[count] = aged[c];
        count++;
      }
      sampleQuantiles({ values: scratch, weights, count }, base[l], out, l, leads.length);
    }
    return signedSquaresInPlace(out);
  },
};
