import type { CapacitySamples } from "../../../src/capacity/samples.ts";
import { seededRandom } from "../../../src/series/statistics/seeded-random.ts";

export const stepMs = 300_000;

/** Days of a load with a daily shape, pods that follow it loosely, and what a pod makes of its share. */
export interface WorldOptions {
  readonly days?: number;
  readonly seed?: number;
  /** Mean of each load. */
  readonly means?: readonly number[];
  /** Pods are as many as this much of the first load asks for, and some. */
  readonly loadPerPod?: number;
  /** Usage of one pod. */
  readonly usage?: (perPod: readonly number[]) => number;
  /** Response time in seconds. */
  readonly response?: (load: number, pods: number) => number;
  /** Relative noise (uniform), and the share of moments that are far off. */
  readonly noise?: number;
  readonly odd?: number;
}

export function world(options: WorldOptions = {}): CapacitySamples {
  const { days = 7, seed = 1, means = [100], loadPerPod = 20, noise = 0.02, odd = 0 } = options;
  const random = seededRandom(seed);
  const n = Math.round((days * 86_400_000) / stepMs);
  const jitter = () => 1 + noise * (2 * random() - 1);
  const loads = means.map((mean, j) =>
    Float64Array.from({ length: n }, (_, i) => mean * (1 + 0.6 * Math.sin((2 * Math.PI * i) / 288 + 2 * j)) * jitter()),
  );
  const pods = Float64Array.from(loads[0], (load) => Math.max(1, Math.ceil((load / loadPerPod) * (0.7 + random()))));
  const far = () => (random() < odd ? 5 + 5 * random() : 1);
  return {
    timesMs: Float64Array.from({ length: n }, (_, i) => i * stepMs),
    loads,
    pods,
    ...(options.usage && {
      usage: pods.map((count, i) => count * options.usage!(loads.map((load) => load[i] / count)) * jitter() * far()),
    }),
    ...(options.response && {
      responseSeconds: pods.map((count, i) => options.response!(loads[0][i], count) * jitter() * far()),
    }),
  };
}
