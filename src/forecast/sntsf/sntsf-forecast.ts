import type { Series } from "../../series/series.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { conformalQuantile } from "../quantiles/conformal-quantile.ts";
import { bucketsOf, interpolateRows, logCenters } from "../quantiles/lead-buckets.ts";
import { createWorkspace, forward, type Layout, layoutOf, type Shape } from "./sntsf-network.ts";
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
 * SNTSF, Kapacity's forecaster of periodic traffic: a small gated network over the last two hours and the calendar, rolled forward.
 *
 * **Source**: kapacity-algorithm, class Fcnet, at its last release (v0.3.0).
 *
 * **Differs**:
 * - trained in the process, on 80 % of the windows, and stopped by the others; then some passes over all of them;
 * - each series keeps its number: there every series is answered as the first one was learned;
 * - the calendar is that of a time zone, and has no feature that the history cannot teach (day of the month; a weekday that was not
 *   there);
 * - a missing sample is masked, in context and loss, instead of being a zero;
 * - on sign(y)·√|y|, and contexts are not divided by less than a tenth of the series' mean;
 * - quantiles, by what rolled forecasts missed on the windows held back. As these also chose when to stop, they flatter a little.
 *
 * **Cost**: see `sntsf-network.ts`; a week by ten minutes (984 windows) trains in 2 to 5 s and answers a day in some ms.
 */
export interface SntsfOptions {
  /** L: steps that the network looks back. */
  readonly context?: number;
  /** H: steps that it sees ahead at once; farther ones are rolled forward. */
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
  /** What rolled forecasts missed, in means of the series' √: `[series][bucket of leads]`, ascending. */
  readonly missed: readonly (readonly Float64Array[])[];
  /** Steps ahead that the buckets span. */
  readonly reach: number;
  readonly epochs: number;
  readonly validationLoss: number;
}

export type SntsfFit =
  | { readonly kind: "Fitted"; readonly weights: SntsfWeights }
  | { readonly kind: "TooShort"; readonly samples: number; readonly needed: number };

const heldBackShare = 0.2;
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
      { ...series, values: series.values.subarray(0, Math.floor((1 - heldBackShare) * series.values.length)) },
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
  const seen = trimmed.map((series) => toNetworkSeries(series, reach, timeZone, features));
  const needed = 4 * (context + ahead);
  for (const { values, fineSteps } of seen) {
    const samples = values.filter(Number.isFinite).length;
    if (samples < needed) return { kind: "TooShort", samples: samples * fineSteps, needed: needed * fineSteps };
  }

  const parts = seen.map((one, index) => {
    const n = one.values.length;
    const heldBack = n - Math.max(ahead, Math.round(heldBackShare * n));
    const at = (from: number, to: number) => windowsAt(shape, one, index, useful(one, shape, from, to), true).windows;
    return { learned: at(context / 2, heldBack - ahead + 1), validation: at(heldBack, n), heldBack };
  });
  const learned = joinWindows(parts.map((part) => part.learned));
  const validation = joinWindows(parts.map((part) => part.validation));
  const trained = train(shape, learned, validation, training);
  const missed = seen.map((one, index) => missedOf(trained, one, trimmed[index], index, parts[index].heldBack, reach));
  const passes = Math.ceil(trained.epochs / 3);
  const all = joinWindows([learned, validation]);
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
      missed,
      reach,
      epochs: trained.epochs,
      validationLoss: lossOf(trained.layout, trained.parameters, validation),
    },
  };
}

function check(named: readonly NamedSeries[]): void {
  if (named.length === 0) throw new RangeError("a network needs at least one series to learn from");
  const names = new Set(named.map(({ name }) => name));
  if (names.size < named.length) throw new RangeError("two series of a network have the same name");
  for (const { name, series } of named)
    if (series.stepMs !== named[0].series.stepMs)
      throw new RangeError(`series ${name} has a step of ${series.stepMs} ms, others ${named[0].series.stepMs} ms`);
}

/** Up to the last present sample; others that are not finite become NaN. */
function upToLast(values: Float64Array): Float64Array {
  let length = values.length;
  while (length > 0 && !Number.isFinite(values[length - 1])) length--;
  return values.slice(0, length).map((v) => (Number.isFinite(v) ? v : Number.NaN));
}

/** Origins from which half of the context and something ahead is present. */
function useful({ values }: NetworkSeries, { context, ahead }: Shape, from: number, to: number): number[] {
  const origins: number[] = [];
  for (let origin = Math.max(1, Math.ceil(from)); origin < to; origin++) {
    const before = values.subarray(Math.max(0, origin - context), origin).filter(Number.isFinite).length;
    const after = values.subarray(origin, origin + ahead).some(Number.isFinite);
    if (after && before >= context / 2) origins.push(origin);
  }
  return origins;
}

/**
 * Medians by rolling the network forward from an origin: what it said is its next context.
 *
 * @param reach steps of the series' own
 * @returns sign(y)·√|y| at each of them, by straight lines between the middles of the network's steps
 */
function roll(
  layout: Layout,
  parameters: Float64Array,
  seen: NetworkSeries,
  index: number,
  origin: number,
  reach: number,
): Float64Array {
  const { shape } = layout;
  const steps = Math.ceil(reach / seen.fineSteps);
  const values = new Float64Array(origin + steps + shape.ahead).fill(Number.NaN);
  values.set(seen.values.subarray(0, origin));
  const room = createWorkspace(layout, 1);
  for (let done = 0; done < steps; done += shape.ahead) {
    const now = { values, calendar: seen.calendar, leastScale: seen.leastScale };
    const { windows, scales } = windowsAt(shape, now, index, [origin + done], false);
    const out = forward(layout, parameters, windows, room);
    for (let j = 0; j < shape.ahead && done + j < steps; j++) values[origin + done + j] = out[j] * scales[0];
  }
  const fine = new Float64Array(reach);
  for (let j = 0; j < reach; j++) {
    const at = Math.max(0, Math.min(steps - 1, (j + 0.5) / seen.fineSteps - 0.5));
    const low = Math.floor(at);
    const part = at - low;
    const here = values[origin + low];
    fine[j] = part > 0 ? here + part * (values[origin + low + 1] - here) : here;
  }
  return fine;
}

/** Mean of √|y|: the unit of what was missed. */
function unitOf(seen: NetworkSeries): number {
  return 10 * seen.leastScale;
}

const heldBackOrigins = 24;
const fewestMissed = 20;

function missedOf(
  { layout, parameters }: Trained,
  seen: NetworkSeries,
  series: Series,
  index: number,
  heldBack: number,
  reach: number,
): Float64Array[] {
  const { fineSteps } = seen;
  const skip = series.values.length % fineSteps;
  const rooted = signedRoots(series.values);
  const n = seen.values.length;
  const apart = Math.max(1, Math.floor((n - heldBack) / heldBackOrigins));
  const buckets = bucketsOf(reach, Math.max(1, 3_600_000 / series.stepMs));
  const missed = buckets.map((): number[] => []);
  const all: number[] = [];
  for (const origin of useful(seen, layout.shape, heldBack, n).filter((_, k) => k % apart === 0)) {
    const from = skip + origin * fineSteps;
    const medians = roll(layout, parameters, seen, index, origin, Math.min(reach, series.values.length - from));
    medians.forEach((median, lead) => {
      const error = (rooted[from + lead] - median) / unitOf(seen);
      if (!Number.isFinite(error)) return;
      missed[buckets.findIndex(({ to }) => lead < to)].push(error);
      all.push(error);
    });
  }
  return missed.map((errors) => Float64Array.from(errors.length >= fewestMissed ? errors : all).sort());
}

/**
 * Forecasts one series: with weights that were trained before, or by training on the request's own history.
 *
 * @param weights of `fitSntsf`, the same step and time zone; `name` says which of its series this is
 * @returns non-negative where the history is; `TooShort` where there is too little to train on or to look back at
 * @throws RangeError where the weights are of another step, or know no series of that name
 */
export function sntsfForecast(
  request: ForecastRequest,
  known?: { readonly weights: SntsfWeights; readonly name: string },
  options: SntsfOptions = {},
): ForecastOutcome {
  const { series, horizon, timeZone } = request;
  const history = { ...series, values: upToLast(series.values) };
  const gap = series.values.length - history.values.length;
  const reach = gap + horizon;
  let using = known;
  if (using === undefined) {
    const fit = fitSntsf([{ name: "", series }], timeZone, reach, options);
    if (fit.kind === "TooShort") return fit;
    using = { weights: fit.weights, name: "" };
  }
  const { weights, name } = using;
  const index = weights.names.indexOf(name);
  if (index < 0) throw new RangeError(`the network was not trained on a series named ${name}`);
  if (weights.stepMs !== series.stepMs)
    throw new RangeError(`the network was trained by ${weights.stepMs} ms, the series comes by ${series.stepMs} ms`);
  const seen = toNetworkSeries(history, reach, weights.timeZone, weights.features);
  const samples = seen.values.filter(Number.isFinite).length;
  const needed = weights.shape.context / 2;
  if (samples < needed) return { kind: "TooShort", samples: samples * seen.fineSteps, needed: needed * seen.fineSteps };
  return { kind: "Forecast", forecast: answer(request, weights, index, seen, gap) };
}

function answer(
  { series, horizon, levels }: ForecastRequest,
  weights: SntsfWeights,
  index: number,
  seen: NetworkSeries,
  gap: number,
) {
  const parameters = Float64Array.from(weights.parameters);
  const medians = roll(layoutOf(weights.shape), parameters, seen, index, seen.values.length, gap + horizon).subarray(
    gap,
  );
  const buckets = bucketsOf(weights.reach, Math.max(1, 3_600_000 / series.stepMs));
  const centers = logCenters(buckets);
  const wanted = [...new Set([...levels, 0.5])].sort((a, b) => a - b);
  const offsets = weights.missed[index].map((errors) =>
    wanted.map((level) => conformalQuantile(errors, level) * unitOf(seen)),
  );
  const rows = offsets.map((row) => Float64Array.from(row));
  const nonNegative = seen.values.every((v) => !(v < 0));
  const quantiles = wanted.map(() => new Float64Array(horizon));
  for (let j = 0; j < horizon; j++)
    interpolateRows(centers, Math.log(gap + j + 0.5), rows).forEach((offset, k) => {
      const z = medians[j] + offset;
      quantiles[k][j] = nonNegative && !(z > 0) ? 0 : z * Math.abs(z);
    });
  return {
    startMs: series.startMs + series.values.length * series.stepMs,
    stepMs: series.stepMs,
    levels,
    quantiles: levels.map((level) => quantiles[wanted.indexOf(level)]),
    mean: quantiles[wanted.indexOf(0.5)].slice(),
    periods: [],
    method: `SNTSF, ${weights.epochs} passes, validation error ${weights.validationLoss.toFixed(3)} of the mean`,
    coverage: [],
  };
}
