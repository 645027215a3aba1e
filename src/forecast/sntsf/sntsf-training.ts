import { seededRandom, shuffle } from "../../series/statistics/seeded-random.ts";
import { initialParameters, type Layout, layoutOf, type Shape } from "./sntsf-layout.ts";
import { type Batch, backward, createWorkspace, forward, type Network } from "./sntsf-network.ts";

/** Windows to learn from: the input of the network and the actual values after it. */
export interface Windows extends Batch {
  /** Scaled values ahead, `[window · H + step]`; NaN where missing; these have no loss. */
  readonly targets: Float64Array;
}

export interface TrainingOptions {
  /** Most passes over the windows. */
  readonly epochs: number;
  readonly batch: number;
  /** Adam's first step size; it falls to a tenth along a cosine. */
  readonly learningRate: number;
  /** Passes without a lower validation loss after which it stops. */
  readonly patience: number;
  /** Most windows of a pass, drawn anew each time. */
  readonly windowsPerEpoch: number;
  readonly seed: number;
}

/** A trained network, with the parameters of the pass that had the least validation loss. */
export interface Trained extends Network {
  readonly epochs: number;
  /** Mean absolute error on the validation windows, scaled. */
  readonly validationLoss: number;
}

/**
 * Trains by Adam (Kingma and Ba 2015) on the mean absolute error, whose minimizer is the median, with early stopping: the
 * parameters with the least loss on the validation windows are kept.
 *
 * @param start parameters to go on from; seeded random ones where absent
 */
export function train(
  shape: Shape,
  windows: Windows,
  validation: Windows,
  options: TrainingOptions,
  start?: Float64Array,
): Trained {
  const layout = layoutOf(shape);
  const random = seededRandom(options.seed);
  const parameters = start ? start.slice() : initialParameters(layout, random);
  const step = adam(layout.count);
  const network = { layout, parameters };
  const workspace = createWorkspace(layout, options.batch);
  const gradient = new Float64Array(layout.count);
  const order = Int32Array.from({ length: windows.many }, (_, w) => w);
  const perEpoch = Math.min(windows.many, options.windowsPerEpoch);

  let best = { parameters: parameters.slice(), epochs: 0, validationLoss: lossOf(network, validation) };
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    shuffle(order, random);
    const rate = options.learningRate * (0.55 + 0.45 * Math.cos((Math.PI * (epoch - 1)) / options.epochs));
    for (let from = 0; from < perEpoch; from += options.batch) {
      const part = pick(layout, windows, order.subarray(from, Math.min(perEpoch, from + options.batch)));
      const out = forward(network, part, workspace);
      gradient.fill(0);
      backward(network, part, workspace, slopes(out, part.targets), gradient);
      step(parameters, gradient, rate);
    }
    const validationLoss = lossOf(network, validation);
    if (validationLoss < best.validationLoss) best = { parameters: parameters.slice(), epochs: epoch, validationLoss };
    else if (epoch - best.epochs >= options.patience) break;
  }
  return { layout, ...best };
}

/** Mean absolute error over the targets that are present; infinite where none is, or where the network has diverged. */
export function lossOf(network: Network, windows: Windows): number {
  const { layout } = network;
  const size = Math.min(windows.many, 64);
  const workspace = createWorkspace(layout, size);
  let sum = 0;
  let count = 0;
  for (let from = 0; from < windows.many; from += size) {
    const rows = Int32Array.from({ length: Math.min(size, windows.many - from) }, (_, w) => from + w);
    const part = pick(layout, windows, rows);
    const out = forward(network, part, workspace);
    for (let i = 0; i < out.length; i++) {
      if (Number.isNaN(part.targets[i])) continue;
      sum += Math.abs(part.targets[i] - out[i]);
      count++;
    }
  }
  return count > 0 && Number.isFinite(sum) ? sum / count : Number.POSITIVE_INFINITY;
}

/** Slope of the mean absolute error with respect to each output; 0 where the target is missing. */
function slopes(out: Float64Array, targets: Float64Array): Float64Array {
  let count = 0;
  for (let i = 0; i < targets.length; i++) if (!Number.isNaN(targets[i])) count++;
  return out.map((value, i) => (Number.isNaN(targets[i]) ? 0 : Math.sign(value - targets[i]) / Math.max(1, count)));
}

/** The windows with these numbers. */
export function pick({ shape }: Layout, windows: Windows, rows: Int32Array): Windows {
  const rowsOf = <A extends Float64Array | Int32Array>(all: A, width: number): A => {
    const out = new (all.constructor as new (length: number) => A)(rows.length * width);
    rows.forEach((row, w) => {
      out.set(all.subarray(row * width, (row + 1) * width), w * width);
    });
    return out;
  };
  const features = shape.cardinalities.length;
  return {
    many: rows.length,
    x: rowsOf(windows.x, shape.context),
    mask: rowsOf(windows.mask, shape.context),
    series: rowsOf(windows.series, 1),
    first: rowsOf(windows.first, features),
    last: rowsOf(windows.last, features),
    targets: rowsOf(windows.targets, shape.ahead),
  };
}

/** Steps of Adam with the usual decay rates .9 and .999. */
function adam(count: number) {
  const first = new Float64Array(count);
  const second = new Float64Array(count);
  let steps = 0;
  return (parameters: Float64Array, gradient: Float64Array, rate: number) => {
    steps++;
    const size = (rate * Math.sqrt(1 - 0.999 ** steps)) / (1 - 0.9 ** steps);
    for (let i = 0; i < count; i++) {
      const g = gradient[i];
      first[i] += 0.1 * (g - first[i]);
      second[i] += 0.001 * (g * g - second[i]);
      parameters[i] -= (size * first[i]) / (Math.sqrt(second[i]) + 1e-8);
    }
  };
}
