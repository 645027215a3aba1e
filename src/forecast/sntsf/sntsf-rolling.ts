import type { Shape } from "./sntsf-layout.ts";
import { createWorkspace, forward, type Network } from "./sntsf-network.ts";
import { type NetworkSeries, windowsAt } from "./sntsf-windows.ts";

/** Origins with at least half of the context and one value ahead present. */
export function usableOrigins(
  { values }: NetworkSeries,
  { context, ahead }: Shape,
  from: number,
  to: number,
): number[] {
  const origins: number[] = [];
  for (let origin = Math.max(1, Math.ceil(from)); origin < to; origin++) {
    const before = values.subarray(Math.max(0, origin - context), origin).filter(Number.isFinite).length;
    const after = values.subarray(origin, origin + ahead).some(Number.isFinite);
    if (after && before >= context / 2) origins.push(origin);
  }
  return origins;
}

/**
 * Medians by recursive forecasting from an origin: the network's outputs become its next context.
 *
 * @param reach steps ahead, of the original series
 * @returns sign(y)·√|y| at each of them, linear between the middles of the network's steps
 */
export function forecastRecursively(
  network: Network,
  input: NetworkSeries,
  origin: number,
  reach: number,
): Float64Array {
  const { shape } = network.layout;
  const steps = Math.ceil(reach / input.fineSteps);
  const values = new Float64Array(origin + steps + shape.ahead).fill(Number.NaN);
  values.set(input.values.subarray(0, origin));
  const workspace = createWorkspace(network.layout, 1);
  for (let done = 0; done < steps; done += shape.ahead) {
    const { windows, scales } = windowsAt(shape, { ...input, values }, [origin + done], false);
    const out = forward(network, windows, workspace);
    for (let j = 0; j < shape.ahead && done + j < steps; j++) values[origin + done + j] = out[j] * scales[0];
  }
  const fine = new Float64Array(reach);
  for (let j = 0; j < reach; j++) {
    const at = Math.max(0, Math.min(steps - 1, (j + 0.5) / input.fineSteps - 0.5));
    const low = Math.floor(at);
    const part = at - low;
    const here = values[origin + low];
    fine[j] = part > 0 ? here + part * (values[origin + low + 1] - here) : here;
  }
  return fine;
}

/** Mean of √|y|: the unit of residuals. */
export function residualUnit(input: NetworkSeries): number {
  return 10 * input.leastScale;
}
