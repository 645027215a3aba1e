import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Proposal } from "../../decide/providers/select-proposal.ts";

/** What portraits that external generators write propose now. */
export function externalProposals(
  { spec }: IntelligentHorizontalPodAutoscaler,
  portraits: readonly HorizontalPortrait[],
  nowMs: number,
): Proposal[] {
  return spec.portraitProviders.flatMap(({ dynamic, priority }) => {
    if (dynamic?.externalGeneratorName === undefined && dynamic?.algorithm?.type !== "External") return [];
    const portrait = portraits.find((each) => each.spec.portraitType === dynamic.portraitType);
    const data = portrait?.status?.portraitData;
    if (!data) return [];
    const points = data.timeSeries?.timeSeries ?? [];
    const at = points.findLastIndex(({ timestamp }) => timestamp * 1000 <= nowMs);
    const replicas = data.type === "Static" ? data.static?.replicas : points[at]?.replicas;
    const ends = [
      ...(data.expireTime ? [Date.parse(data.expireTime)] : []),
      ...(data.type === "TimeSeries" && points[at + 1] ? [points[at + 1].timestamp * 1000] : []),
    ];
    if (replicas === undefined) return [];
    return [
      {
        provider: dynamic.externalGeneratorName ?? "External",
        priority,
        replicas,
        ...(ends.length > 0 && { expireMs: Math.min(...ends) }),
      },
    ];
  });
}
