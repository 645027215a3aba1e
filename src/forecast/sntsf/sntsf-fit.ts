import type { Series } from "../../series/series.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import { bucketsOf } from "../quantiles/lead-buckets.ts";
import type { Shape } from "./sntsf-layout.ts";
import { forecastRecursively, residualUnit, usableOrigins } from "./sntsf-rolling.ts";
import { lossOf, type Trained, type TrainingOptions, train } from "./sntsf-training.ts";
import {
  type CalendarFeature,
  cardinality,
  featuresFor,
  joinWindows,
  type NetworkSeries,
  toNetworkSeries,
  windowsAt,
} from "./sntsf-windows.ts";

/**
 * SNTSF, Kapacity's forecaster of periodic traffic: a small gated network over the last two hours and the calendar, applied
 * recursively.
 *
 * **Source**: kapacity-algorithm, class Fcnet, at its last release (v0.3.0).
 *
 * **Differs**:
 * - it is trained within the process, on 80 % of the windows, with early stopping on the others; then some passes over all;
 * - each series keeps its own embedding: there every series is forecast with the embedding of the first one;
 * - the calendar is that of a time zone, without features that the history cannot teach (day of the month; a weekday that it lacks);
 * - a missing sample is masked, in context and loss, instead of being a zero;
 * - it works on sign(y)·√|y|, and a context is not divided by less than a tenth of the series' mean;
 * - it gives quantiles, from the residuals of recursive forecasts on the held-out windows. As these windows also chose when to
 *   stop, the quantiles are slightly too narrow.
 *
 * **Cost**: see `sntsf-network.ts`; a week by ten minutes (984 windows) trains in 2 to 5 s and forecasts a day in some ms.
 */
export interface SntsfOptions {
  /** L: steps of history that the network reads. */
  readonly context?: number;
  /** H: steps that one pass forecasts; farther ones are forecast recursively. */
  readonly ahead?: number;
  readonly gates?: number;
  /** A gate's hidden layer is its width divided by this. */
  readonly bottleneck?: number;
  readonly training?: Partial<TrainingOptions>;
}

/** One of the series that share a network. */
export interface NamedSeries {
  readonly name: string;
  readonly series: Series;
}

/** A trained network: plain data, to be kept and handed to a worker. */
export interface SntsfWeights {
  readonly shape: Shape;
  readonly features: readonly CalendarFeature[];
  /** Step of the series that it was trained on. */
  readonly stepMs: number;
  readonly timeZone: string;
  /** The series' names, in the order of their embeddings. */
  readonly names: readonly string[];
  readonly parameters: Float32Array;
  /** Residuals of held-out forecasts, in means of the series' √: `[series][bucket of leads]`, ascending. */
  readonly residuals: readonly (readonly Float64Array[])[];
  /** Steps ahead that the buckets span. */
  readonly reach: number;
  readonly epochs: number;
  readonly validationLoss: number;
}

export type SntsfFit =
  | { readonly kind: "Fitted"; readonly weights: SntsfWeights }
  | { readonly kind: "TooShort"; readonly samples: number; readonly needed: number };

const heldOutShare = 0.2;
const usualTraining: TrainingOptions = {
  epochs: 30,
  batch: 32,
  learningRate: 3e-3,
  patience: 4,
  windowsPerEpoch: 1000,
  seed: 1,
};

/**
 * Trains one network on several series of the same step.
 *
 * @param reach steps ahead for which quantiles will be asked
 * @returns `TooShort`, in steps of the series, where one has fewer than four times context and horizon present
 * @throws RangeError where there is no series, names are not unique, or steps differ
 */
export function fitSntsf(
  named: readonly NamedSeries[],
  timeZone: string,
  reach: number,
  options: SntsfOptions = {},
): SntsfFit {
  const { context = 12, ahead = 12, gates = 4, bottleneck = 8 } = options;
  const training = { ...usualTraining, ...options.training };
  check(named);
  const { stepMs } = named[0].series;
  const trimmed = named.map(({ series }) => ({ ...series, values: upToLast(series.values) }));
  const taught = trimmed.map((series) =>
    featuresFor(
      { ...series, values: series.values.subarray(0, Math.floor((1 - heldOutShare) * series.values.length)) },
      timeZone,
    ),
  );
  const features = taught[0].filter((feature) => taught.every((others) => others.includes(feature)));
  const shape = {
    context,
    ahead,
    series: named.length,
    cardinalities: features.map((f) => cardinality[f]),
    gates,
    bottleneck,
  };
  const inputs = trimmed.map((series, index) => toNetworkSeries(series, reach, timeZone, features, index));
  const needed = 4 * (context + ahead);
  for (const { values, fineSteps } of inputs) {
    const samples = values.filter(Number.isFinite).length;
    if (samples < needed) return { kind: "TooShort", samples: samples * fineSteps, needed: needed * fineSteps };
  }

  const parts = inputs.map((input) => {
    const n = input.values.length;
    const heldOut = n - Math.max(ahead, Math.round(heldOutShare * n));
    const at = (from: number, to: number) =>
      windowsAt(shape, input, usableOrigins(input, shape, from, to), true).windows;
    return { training: at(context / 2, heldOut - ahead + 1), validation: at(heldOut, n), heldOut };
  });
  const windows = joinWindows(parts.map((part) => part.training));
  const validation = joinWindows(parts.map((part) => part.validation));
  const trained = train(shape, windows, validation, training);
  const residuals = inputs.map((input, index) =>
    residualsOf(trained, input, trimmed[index], parts[index].heldOut, reach),
  );
  const passes = Math.ceil(trained.epochs / 3);
  const all = joinWindows([windows, validation]);
  const final = train(
    shape,
    all,
    validation,
    { ...training, epochs: passes, patience: passes, learningRate: training.learningRate / 3 },
    trained.parameters,
  );
  return {
    kind: "Fitted",
    weights: {
      shape,
      features,
      stepMs,
      timeZone,
      names: named.map(({ name }) => name),
      parameters: Float32Array.from(final.parameters),
      residuals,
      reach,
      epochs: trained.epochs,
      validationLoss: lossOf(trained, validation),
    },
  };
}

function check(named: readonly NamedSeries[]): void {
  if (named.length === 0) throw new RangeError("a network needs at least one series to learn from");
  const names = new Set(named.map(({ name }) => name));
  if (names.size < named.length) throw new RangeError("two series of a network have the same name");
  for (const { name, series } of named)
    if (series.stepMs !== named[0].series.stepMs)
      throw new RangeError(
        `series ${name} has a step of ${series.stepMs} ms and the others ${named[0].series.stepMs} ms; resample them to one step`,
      );
}

/** Up to the last present sample; others that are not finite become NaN. */
export function upToLast(values: Float64Array): Float64Array {
  let length = values.length;
  while (length > 0 && !Number.isFinite(values[length - 1])) length--;
  return values.slice(0, length).map((v) => (Number.isFinite(v) ? v : Number.NaN));
}

const heldOutOrigins = 24;
const fewestResiduals = 20;

/** Residuals of recursive forecasts from held-out origins, for each bucket of leads, ascending. */
function residualsOf(
  network: Trained,
  input: NetworkSeries,
  series: Series,
  heldOut: number,
  reach: number,
): Float64Array[] {
  const { fineSteps } = input;
  const skip = series.values.length % fineSteps;
  const rooted = signedRoots(series.values);
  const n = input.values.length;
  const apart = Math.max(1, Math.floor((n - heldOut) / heldOutOrigins));
  const buckets = bucketsOf(reach, Math.max(1, 3_600_000 / series.stepMs));
  const inBuckets = buckets.map((): number[] => []);
  const all: number[] = [];
  for (const origin of usableOrigins(input, network.layout.shape, heldOut, n).filter((_, k) => k % apart === 0)) {
    const from = skip + origin * fineSteps;
    const medians = forecastRecursively(network, input, origin, Math.min(reach, series.values.length - from));
    medians.forEach((median, lead) => {
      const residual = (rooted[from + lead] - median) / residualUnit(input);
      if (!Number.isFinite(residual)) return;
      inBuckets[buckets.findIndex(({ to }) => lead < to)].push(residual);
      all.push(residual);
    });
  }
  return inBuckets.map((own) => Float64Array.from(own.length >= fewestResiduals ? own : all).sort());
}
