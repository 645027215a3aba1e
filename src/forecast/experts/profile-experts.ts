import { centeredMean } from "../../series/statistics/moving-mean.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { dayProfile, dayWeights, type Profile } from "./day-profile.ts";
import { quantilesOfDays } from "./day-samples.ts";
import { type Expert, type ExpertInput, stepsIn } from "./expert.ts";
import { levelShares, levelsBefore } from "./level.ts";

export const weekdayOrWeekend = dayWeights(0.15);

/** The daily profile, shifted by the share of the recent level that persists. */
export const profileAndLevel: Expert = {
  name: "profile and level",
  forecast(past) {
    if (past.rooted.length < past.stepsPerDay) return undefined;
    const { profile, residual } = profileOf(past);
    const levels = [5, 60].map((minutes) => levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))));
    const shares = levelShares(residual, levels, past.leads, past.horizon, { ...fitOf(past), penalty: 0.5 });
    return sampleDays(past, { profile, residual, levels, shares, fading: 0.85 });
  },
};

/** The shape of the day, continued from the present level: for a load that drifts from day to day. */
export const driftingLevel: Expert = {
  name: "drifting level",
  forecast(past) {
    if (past.rooted.length < past.stepsPerDay) return undefined;
    const daily = centeredMean(past.rooted, Math.floor(past.stepsPerDay / 2));
    const profile = dayProfile(subtract(past.rooted, daily), past, weekdayOrWeekend);
    const residual = subtract(past.rooted, profile.past);
    const level = levelsBefore(residual, Math.max(0.35, stepsIn(past, 60)));
    const shares = new Float64Array(past.leads.length).fill(1);
    return sampleDays(past, { profile, residual, levels: [level], shares, fading: 0.9 });
  },
};

/** The present value, plus the changes of earlier days from this time of day on: best for the next minutes, poor for a day. */
export const courseFromNow: Expert = {
  name: "course from now",
  trust: [1, 0.5, 0.1, 0.03],
  forecast(past) {
    if (past.rooted.length < past.stepsPerDay) return undefined;
    const value = levelsBefore(past.rooted, Math.max(0.35, stepsIn(past, 0.1)));
    const flat: Profile = { past: past.rooted, ahead: new Float64Array(past.leads.length) };
    const shares = new Float64Array(past.leads.length).fill(1);
    return sampleDays(past, { profile: flat, residual: past.rooted, levels: [value], shares, fading: 0.85 });
  },
};

const sameWeekday = Float64Array.from({ length: 49 }, (_, k) => (Math.floor(k / 7) === k % 7 ? 1 : 0.02));

/** The profile of the same weekday; needs two weeks of history. */
export const weekProfile: Expert = {
  name: "week profile",
  forecast(past) {
    if (past.rooted.length < 14 * past.stepsPerDay) return undefined;
    const profile = dayProfile(past.rooted, past, sameWeekday);
    const residual = subtract(past.rooted, profile.past);
    const levels = [5, 60, 1440].map((minutes) => levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))));
    const shares = levelShares(residual, levels, past.leads, past.horizon, { ...fitOf(past), penalty: 0.3 });
    return sampleDays(past, { profile, residual, levels, shares, fading: 0.95 });
  },
};

interface ProfileAndResidual {
  readonly profile: Profile;
  readonly residual: Float64Array;
}

const profiles = new WeakMap<ExpertInput, ProfileAndResidual>();

/** The daily profile of a history and its residuals; computed once for the experts that share it. */
export function profileOf(past: ExpertInput): ProfileAndResidual {
  let known = profiles.get(past);
  if (known === undefined) {
    const profile = dayProfile(past.rooted, past, weekdayOrWeekend);
    known = { profile, residual: subtract(past.rooted, profile.past) };
    profiles.set(past, known);
  }
  return known;
}

/** Training samples for the shares of levels: from a quarter of a day on, 96 per day. */
export function fitOf({ stepsPerDay }: ExpertInput): { from: number; every: number } {
  return { from: Math.max(2, Math.floor(stepsPerDay / 4)), every: Math.max(1, Math.floor(stepsPerDay / 96)) };
}

interface LevelledProfile {
  readonly profile: Profile;
  readonly residual: Float64Array;
  readonly levels: readonly Float64Array[];
  readonly shares: Float64Array;
  readonly fading: number;
}

/** The profile and the persisting level, with the residuals of earlier days around them. */
function sampleDays(past: ExpertInput, { profile, residual, levels, shares, fading }: LevelledProfile): Float64Array {
  const base = addLevels(profile.ahead, levels, shares);
  const { from } = fitOf(past);
  return signedSquaresInPlace(
    quantilesOfDays(past, { residual, base, fallback: 0, levels, shares, from, fading, days: weekdayOrWeekend }),
  );
}

/** For each lead: `values` + Σ share · present level. */
export function addLevels(values: Float64Array, levels: readonly Float64Array[], shares: Float64Array): Float64Array {
  const many = levels.length;
  return values.map((value, l) => {
    let sum = value;
    for (let p = 0; p < many; p++) sum += shares[l * many + p] * levels[p][levels[p].length - 1];
    return sum;
  });
}

/** values − other, sample by sample. */
export function subtract(values: Float64Array, other: Float64Array): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = values[i] - other[i];
  return out;
}
