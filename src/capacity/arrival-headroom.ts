import { countQuantile } from "../series/statistics/count-distribution.ts";
import { short } from "./sizing.ts";

/** The start-up of a pod, and how requests arrive in it. */
export interface ArrivalWindow {
  /** From a pod's creation until it serves, above 0. */
  readonly startupSeconds: number;
  /** Probability, in (0, 1), that no more requests arrive during the start-up than the pods are sized for: 1 − α. */
  readonly level: number;
  /** How much more than Poisson's the arrivals scatter, at least 0: `countDispersion` of windows as long as the start-up or longer. */
  readonly dispersion: number;
}

/** A load with its headroom. */
export interface ArrivalHeadroom {
  /** Requests during the start-up: expected, and sized for. */
  readonly expected: number;
  readonly sizedFor: number;
  /** `sizedFor` as requests per second; never below the expected rate. */
  readonly load: number;
  readonly distribution: "Poisson" | "NegativeBinomial";
  /** One sentence for people. */
  readonly reason: string;
}

/**
 * Headroom for a load of requests: pods are sized for a quantile of the arrivals during the start-up, not for their mean. A busy
 * service needs little headroom in proportion (√mean), a quiet or a bursty one much.
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
    reason: `${short(expected)} requests expected during ${short(startupSeconds)} s of start-up, sized for ${sizedFor} (${short(100 * level)}th percentile, ${scatter})`,
  };
}
