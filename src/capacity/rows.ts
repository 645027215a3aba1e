import { firstHeldBack } from "./holdout.ts";
import type { CapacitySamples } from "./samples.ts";

const samplesNeeded = 48;

/** The samples of a history with nothing missing, with the loads per pod. */
export interface Rows {
  readonly timesMs: Float64Array;
  readonly loads: readonly Float64Array[];
  readonly perPod: readonly Float64Array[];
  readonly pods: Float64Array;
  /** Usage or response time, as measured. */
  readonly measured: Float64Array;
  /** Usage per pod beside a response time; NaN where it is not known. */
  readonly usage?: Float64Array;
}

export function rowsOf(samples: CapacitySamples, measured: Float64Array, beside?: Float64Array): Rows {
  const { pods, loads } = samples;
  const kept: number[] = [];
  for (let i = 0; i < pods.length; i++) {
    const known = pods[i] > 0 && Number.isFinite(pods[i]) && Number.isFinite(measured[i]) && measured[i] >= 0;
    if (known && loads.every((load) => Number.isFinite(load[i]) && load[i] >= 0)) kept.push(i);
  }
  const pick = (values: Float64Array) => Float64Array.from(kept, (i) => values[i]);
  const each = (values: Float64Array) => Float64Array.from(kept, (i) => values[i] / pods[i]);
  return {
    timesMs: pick(samples.timesMs),
    loads: loads.map(pick),
    perPod: loads.map(each),
    pods: pick(pods),
    measured: pick(measured),
    ...(beside && { usage: each(beside) }),
  };
}

/** The rows for which `wanted` is true. */
export function filterRows(rows: Rows, wanted: (i: number) => boolean): Rows {
  const kept = Uint32Array.from(rows.pods.keys()).filter((i) => wanted(i));
  return mapColumns(rows, (values) => Float64Array.from(kept, (i) => values[i]));
}

function mapColumns(rows: Rows, change: (values: Float64Array) => Float64Array): Rows {
  return {
    timesMs: change(rows.timesMs),
    loads: rows.loads.map(change),
    perPod: rows.perPod.map(change),
    pods: change(rows.pods),
    measured: change(rows.measured),
    ...(rows.usage && { usage: change(rows.usage) }),
  };
}

/** The rows to fit on and the held-out ones to score on; or why there are too few. @param of what is measured, for the message */
export function split(rows: Rows, of: string): { before: Rows; after: Rows } | string {
  const n = rows.pods.length;
  const first = firstHeldBack(rows.timesMs);
  if (n < samplesNeeded || first < samplesNeeded / 2)
    return `only ${n} samples have ${of}, loads and pods at the same time; ${samplesNeeded} are needed`;
  const part = (from: number, to: number) => mapColumns(rows, (values) => values.subarray(from, to));
  return { before: part(0, first), after: part(first, n) };
}
