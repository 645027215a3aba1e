import type { Cause } from "../../api/cause.ts";
import { algorithmFault } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";

/** The parts of a valid spec that this version does not support. */
export function unsupportedParts(spec: IntelligentHorizontalPodAutoscalerSpec): Cause<"AlgorithmNotSupported">[] {
  const { portraitProviders } = spec;
  const found: Cause<"AlgorithmNotSupported">[] = [];
  for (const { dynamic } of portraitProviders) {
    const message = dynamic && algorithmFault(dynamic);
    if (message !== undefined) found.push({ reason: "AlgorithmNotSupported", message });
  }
  return found;
}
