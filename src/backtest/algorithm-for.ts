import { algorithmOf, isForecastAlgorithm } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";

/** By what loads are forecast in a replay. */
export interface ReplayedAlgorithm {
  /** Name of the algorithm that is run. */
  readonly replayed: string;
  /** What the manifest asks for instead, for people; undefined where it is the one that is run. */
  readonly notReplayed?: string;
}

/** The algorithm of a spec's Predictive provider; the usual one where there is none, or where it comes from outside. */
export function algorithmFor({
  portraitProviders,
}: Pick<IntelligentHorizontalPodAutoscalerSpec, "portraitProviders">): ReplayedAlgorithm {
  const usual = "Forecast";
  const predictive = portraitProviders?.find(({ dynamic }) => dynamic?.portraitType === "Predictive")?.dynamic;
  if (predictive === undefined) return { replayed: usual };
  if (predictive.externalGeneratorName !== undefined)
    return { replayed: usual, notReplayed: `the generator ${predictive.externalGeneratorName}` };
  const algorithm = algorithmOf(predictive);
  return isForecastAlgorithm(algorithm)
    ? { replayed: algorithm }
    : { replayed: usual, notReplayed: `algorithm ${algorithm}` };
}
