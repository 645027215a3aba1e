import { calendarOf } from "../../series/calendar.ts";
import { binMeans } from "../../series/resample.ts";
import type { Series } from "../../series/series.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import type { Shape } from "./sntsf-layout.ts";
import type { Windows } from "./sntsf-training.ts";

/** A series as the input of the network. */
export interface NetworkSeries {
  /** sign(y)·√|y| of means over the network's step, NaN where missing. */
  readonly values: Float64Array;
  /** Its number among the series that share the network. */
  readonly index: number;
  readonly startMs: number;
  readonly stepMs: number;
  /** Steps of the series' own that make one of these. */
  readonly fineSteps: number;
  /** Calendar features of the history and the steps ahead, `[step · K + feature]`. */
  readonly calendar: Int32Array;
  /** Least scale of a window: an idle night must not turn noise into large values. */
  readonly leastScale: number;
}

const networkStepMs = 600_000;
const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** A calendar feature of a step. */
export type CalendarFeature = "Minute" | "Hour" | "Weekend" | "Weekday";

export const cardinality: Readonly<Record<CalendarFeature, number>> = { Minute: 60, Hour: 24, Weekend: 2, Weekday: 7 };

/**
 * The features that a history can teach: no minute with hourly steps, weekdays where the history has two of each, else weekends
 * where it has a day of both kinds. An embedding that was never trained is noise.
 *
 * @param learned the training part of the series, without what is held out
 */
export function featuresFor(learned: Series, timeZone: string): CalendarFeature[] {
  const { startMs, stepMs, values } = learned;
  const coarseMs = stepMs * fineStepsOf(stepMs);
  const features: CalendarFeature[] = [];
  if (coarseMs < hourMs) features.push("Minute");
  if (coarseMs < dayMs) features.push("Hour");
  const days = new Float64Array(7); // milliseconds of each in the history
  for (const day of calendarOf(startMs, stepMs, values.length, timeZone).dayOfWeek) days[day] += stepMs;
  const weekend = days[5] + days[6];
  const weekdays = days.subarray(0, 5).reduce((sum, count) => sum + count, 0);
  if (days.every((count) => count >= 2 * dayMs)) features.push("Weekday");
  else if (weekend >= dayMs && weekdays >= dayMs) features.push("Weekend");
  return features;
}

/** How many steps of a series make one of the network's: ten minutes, where the series' are finer. */
export function fineStepsOf(stepMs: number): number {
  return Math.max(1, Math.round(networkStepMs / stepMs));
}

/**
 * @param reach steps ahead, of the series' own, that the calendar must cover
 * @returns bins end where the history ends; samples before the first whole bin are left out
 */
export function toNetworkSeries(
  series: Series,
  reach: number,
  timeZone: string,
  features: readonly CalendarFeature[],
  index: number,
): NetworkSeries {
  const fineSteps = fineStepsOf(series.stepMs);
  const skip = series.values.length % fineSteps;
  const values = signedRoots(binMeans(series.values.subarray(skip), fineSteps, 0.25));
  const stepMs = series.stepMs * fineSteps;
  const startMs = series.startMs + skip * series.stepMs;
  const steps = values.length + Math.ceil(reach / fineSteps);
  const { dayOfWeek, offsetSteps } = calendarOf(startMs, stepMs, steps, timeZone);
  const calendar = new Int32Array(steps * features.length);
  for (let i = 0; i < steps; i++) {
    const local = startMs + (i + offsetSteps[i]) * stepMs;
    const minutes = Math.floor((((local % dayMs) + dayMs) % dayMs) / 60_000);
    features.forEach((feature, k) => {
      calendar[i * features.length + k] = {
        Minute: minutes % 60,
        Hour: Math.floor(minutes / 60),
        Weekend: dayOfWeek[i] >= 5 ? 1 : 0,
        Weekday: dayOfWeek[i],
      }[feature];
    });
  }
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += Math.abs(value);
    count++;
  }
  return { values, index, startMs, stepMs, fineSteps, calendar, leastScale: sum > 0 ? (0.1 * sum) / count : 1 };
}

/**
 * Windows whose first step ahead is each of `origins`.
 *
 * @param targets whether to fill the targets with the actual values; NaN everywhere where not
 * @returns the windows and the scale that each was divided by
 */
export function windowsAt(
  shape: Shape,
  { values, calendar, leastScale, index }: Pick<NetworkSeries, "values" | "calendar" | "leastScale" | "index">,
  origins: ArrayLike<number>,
  targets: boolean,
): { windows: Windows; scales: Float64Array } {
  const { context, ahead, cardinalities } = shape;
  const features = cardinalities.length;
  const many = origins.length;
  const windows: Windows = {
    many,
    x: new Float64Array(many * context),
    mask: new Float64Array(many * context),
    series: new Int32Array(many).fill(index),
    first: new Int32Array(many * features),
    last: new Int32Array(many * features),
    targets: new Float64Array(many * ahead).fill(Number.NaN),
  };
  const scales = new Float64Array(many);
  const lastStep = calendar.length / Math.max(1, features) - 1;
  for (let w = 0; w < many; w++) {
    const origin = origins[w];
    let sum = 0;
    let size = 0;
    let count = 0;
    for (let t = origin - context; t < origin; t++) {
      if (!(t >= 0) || Number.isNaN(values[t])) continue;
      sum += values[t];
      size += Math.abs(values[t]);
      count++;
    }
    const scale = Math.max(leastScale, count > 0 ? size / count : 0);
    const mean = count > 0 ? sum / count : 0;
    scales[w] = scale;
    for (let t = 0; t < context; t++) {
      const value = values[origin - context + t];
      const present = value !== undefined && !Number.isNaN(value);
      windows.x[w * context + t] = (present ? value : mean) / scale;
      windows.mask[w * context + t] = present ? 1 : 0;
    }
    for (let k = 0; k < features; k++) {
      windows.first[w * features + k] = calendar[Math.min(lastStep, origin) * features + k];
      windows.last[w * features + k] = calendar[Math.min(lastStep, origin + ahead - 1) * features + k];
    }
    if (targets)
      for (let j = 0; j < ahead; j++) {
        const value = values[origin + j];
        if (value !== undefined && !Number.isNaN(value)) windows.targets[w * ahead + j] = value / scale;
      }
  }
  return { windows, scales };
}

/** Windows of several series, one after the other. */
export function joinWindows(all: readonly Windows[]): Windows {
  const join = (parts: readonly Float64Array[]) => {
    const out = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  };
  const joinWhole = (parts: readonly Int32Array[]) => Int32Array.from(parts.flatMap((part) => [...part]));
  return {
    many: all.reduce((sum, { many }) => sum + many, 0),
    x: join(all.map(({ x }) => x)),
    mask: join(all.map(({ mask }) => mask)),
    series: joinWhole(all.map(({ series }) => series)),
    first: joinWhole(all.map(({ first }) => first)),
    last: joinWhole(all.map(({ last }) => last)),
    targets: join(all.map(({ targets }) => targets)),
  };
}
