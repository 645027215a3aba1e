/** Values at instants: `timesMs` ascending without duplicates, `values` of the same length, NaN where there is a gap. */
export interface Samples {
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
}

/** Samples of one labelled series. Labels are a Map, as their names come from outside. */
export interface LabelledSamples extends Samples {
  readonly labels: ReadonlyMap<string, string>;
}

export const noSamples: Samples = { timesMs: new Float64Array(0), values: new Float64Array(0) };

/** Sorted by time; of samples at one instant the last given wins. Inputs are not changed, and given back where in order. */
export function tidied(timesMs: Float64Array, values: Float64Array): Samples {
  let inOrder = true;
  for (let i = 1; i < timesMs.length && inOrder; i++) inOrder = timesMs[i] > timesMs[i - 1];
  if (inOrder) return { timesMs, values };
  const order = Array.from(timesMs.keys()).sort((a, b) => timesMs[a] - timesMs[b] || a - b);
  const kept = order.filter((from, i) => i === order.length - 1 || timesMs[order[i + 1]] !== timesMs[from]);
  return {
    timesMs: Float64Array.from(kept, (from) => timesMs[from]),
    values: Float64Array.from(kept, (from) => values[from]),
  };
}

/** Several pieces of one series as one; where two have the same instant, the later piece wins. */
export function joined(pieces: readonly Samples[]): Samples {
  if (pieces.length === 1) return pieces[0];
  const count = pieces.reduce((sum, piece) => sum + piece.timesMs.length, 0);
  const timesMs = new Float64Array(count);
  const values = new Float64Array(count);
  let at = 0;
  for (const piece of pieces) {
    timesMs.set(piece.timesMs, at);
    values.set(piece.values, at);
    at += piece.timesMs.length;
  }
  return tidied(timesMs, values);
}

/** `{pod="a",zone="b"}`, as people know label sets; foreign text is made printable. */
export function labelText(labels: ReadonlyMap<string, string>): string {
  const pairs = [...labels].filter(([name]) => name !== "__name__").sort(([a], [b]) => (a < b ? -1 : 1));
  return `${labels.get("__name__") ?? ""}{${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}}`;
}
