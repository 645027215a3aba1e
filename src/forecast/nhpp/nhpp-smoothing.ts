import { fitIntensity, type Intensity } from "./nhpp-intensity.ts";

/** How strongly smoothness and periodicity of an intensity are enforced. */
export interface Smoothing {
  readonly smoothness: number;
  readonly periodicity: number;
  /** Poisson deviance per held-out bin, without the constant part: Σ(λ − Q·ln λ) ÷ bins. */
  readonly deviance: number;
  /** Fits that were tried. */
  readonly tried: number;
}

const grid = [1, 10, 50, 200];
/** Enough passes to compare two choices; the chosen one is fitted until it converges. */
const trialPasses = 25;
/** One stretch in so many is held out. */
const heldOutEvery = 6;

/**
 * Chooses β₁ and β₂ from {1, 10, 50, 200}² by the Poisson deviance of held-out stretches of a 24th of the shortest period,
 * spread over all phases. Hill climbing from the middle of the grid.
 *
 * @param counts NaN where missing
 * @param exposure share of each bin that was observed
 * @param lags periods in bins; without any, β₂ is not used and 0
 */
export function chooseSmoothing(counts: Float64Array, exposure: Float64Array, lags: readonly number[]): Smoothing {
  const n = counts.length;
  const stretch = Math.max(2, Math.round((lags.length > 0 ? Math.min(...lags) : n / 6) / 24));
  // The pattern is shifted by one stretch now and then: a period that is a multiple of it would hide the same phase in all cycles.
  const isHeldOut = (i: number) => {
    const block = Math.floor(i / stretch);
    return (block + Math.floor(block / (4 * heldOutEvery))) % heldOutEvery === heldOutEvery - 1;
  };
  const kept = exposure.map((share, i) => (isHeldOut(i) ? 0 : share));
  const tried = new Map<string, { deviance: number; fit: Intensity }>();
  const attempt = (s: number, p: number, start?: Intensity) => {
    const key = `${s} ${p}`;
    const known = tried.get(key);
    if (known) return known;
    const fit = fitIntensity(counts, {
      smoothness: grid[s],
      periodicity: lags.length > 0 ? grid[p] : 0,
      lags,
      exposure: kept,
      passes: trialPasses,
      // Only r: the penalty and the multiplier belong to another β₁.
      ...(start && { start: { ...start, multiplier: new Float64Array(n - 2), penalty: 20 * grid[s] } }),
    });
    let [sum, bins] = [0, 0];
    for (let i = 0; i < n; i++) {
      if (!isHeldOut(i) || !(exposure[i] > 0)) continue;
      sum += exposure[i] * Math.exp(fit.logRates[i]) - counts[i] * fit.logRates[i];
      bins++;
    }
    const made = { deviance: bins > 0 ? sum / bins : 0, fit };
    tried.set(key, made);
    return made;
  };

  let [s, p] = [2, 2];
  let best = attempt(s, p);
  for (let moved = true; moved; ) {
    moved = false;
    for (const [ds, dp] of lags.length > 0 ? neighbours : alone) {
      const [nextS, nextP] = [s + ds, p + dp];
      if (!(nextS in grid && nextP in grid)) continue;
      const next = attempt(nextS, nextP, best.fit);
      if (!(next.deviance < best.deviance)) continue;
      [s, p, best, moved] = [nextS, nextP, next, true];
      break;
    }
  }
  return {
    smoothness: grid[s],
    periodicity: lags.length > 0 ? grid[p] : 0,
    deviance: best.deviance,
    tried: tried.size,
  };
}

const neighbours = [
  [0, 1],
  [0, -1],
  [1, 0],
  [-1, 0],
] as const;
const alone = [
  [1, 0],
  [-1, 0],
] as const;
