import { countQuantile } from "../series/statistics/count-distribution.ts";

/** How requests arrive while pods asked for now come up. */
export interface ArrivalWindow {
  /** From a pod's creation until it serves, above 0. */
  readonly startupSeconds: number;
  /** Chance, in (0, 1), that no more requests arrive over the start-up than the pods are sized for: 1 − α. */
  readonly level: number;
  /** How much more than Poisson's the arrivals scatter, at least 0: `countDispersion` of windows as long as the start-up or longer. */
  readonly dispersion: number;
}

/** A load with its headroom. */
export interface ArrivalHeadroom {
  /** Requests over the start-up that are expected, and that are sized for. */
  readonly expected: number;
  readonly sizedFor: number;
  /** Requests a second that `sizedFor` stands for; never below the expected rate. */
  readonly load: number;
  readonly distribution: "Poisson" | "NegativeBinomial";
  /** One sentence for people. */
  readonly reason: string;
}

/**
 * Headroom where load is requests: the quantile of what arrives over the start-up, not its mean. A busy service needs little
 * in proportion (√mean), a quiet or a bursty one much.
 *
 * @param requestsPerSecond expected rate, at least 0
 * @throws RangeError for arguments out of range
 * @see RobustScaler (ICDE 2022): with a fixed start-up its hitting-probability plan keeps max{i: P(N ≥ i) > α} instances, the same
 *   quantile of the arrivals N over the start-up
 */
export function arrivalHeadroom(requestsPerSecond: number, window: ArrivalWindow): ArrivalHeadroom {
  const { startupSeconds, level, dispersion } = window;
  if (!(requestsPerSecond >= 0 && Number.isFinite(requestsPerSecond)))
    throw new RangeError(`a rate of ${requestsPerSecond} requests a second is not at least 0`);
  if (!(startupSeconds > 0 && Number.isFinite(startupSeconds)))
    throw new RangeError(`a start-up of ${startupSeconds} s is not above 0`);
  const expected = requestsPerSecond * startupSeconds;
  const sizedFor = countQuantile(expected, dispersion, level);
  const distribution = dispersion > 0 ? "NegativeBinomial" : "Poisson";
  const scatter = distribution === "Poisson" ? "Poisson" : `negative binomial, dispersion ${short(dispersion)}`;
  return {
    expected,
    sizedFor,
    load: Math.max(requestsPerSecond, sizedFor / startupSeconds),
    distribution,
    reason: `${short(expected)} requests expected over ${short(startupSeconds)} s of start-up, sized for ${sizedFor} (${short(100 * level)} %, ${scatter})`,
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
