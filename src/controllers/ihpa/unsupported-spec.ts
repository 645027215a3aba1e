import { algorithmFault } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";

/** Something that the API takes and this version does not do, as a word and a sentence. */
export interface NotCarriedOut {
  readonly reason: "AlgorithmNotSupported";
  readonly message: string;
}

/** What a spec asks for in vain; nothing where all of it is carried out. */
export function notCarriedOut(spec: IntelligentHorizontalPodAutoscalerSpec): NotCarriedOut[] {
  const { portraitProviders } = spec;
  const found: NotCarriedOut[] = [];
  for (const { dynamic } of portraitProviders) {
    const message = dynamic && algorithmFault(dynamic);
    if (message !== undefined) found.push({ reason: "AlgorithmNotSupported", message });
  }
  return found;
}
