import type { Cause } from "../../api/cause.ts";
import type { CapacityStatus } from "../../api/fields/capacity.ts";
import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Problem } from "../../api/validation/problem.ts";
import type { Decision } from "../../decide/decision.ts";
import type { KubeObject } from "../../kube/client/resource.ts";
import type { Scale } from "../../kube/client/scale.ts";
import type { HorizontalPodAutoscaler } from "./managed-hpa.ts";

/** All that one reconcile of an IHPA has observed; the plan is made from nothing else. */
export interface IhpaInput {
  readonly ihpa: IntelligentHorizontalPodAutoscaler;
  readonly nowMs: number;
  readonly scale: Scale | Cause;
  readonly problems: readonly Problem[];
  /** Name of the older IHPA that has the target. */
  readonly rival: string | undefined;
  /** HPAs that scale the target, and the IHPA's own whatever they scale. */
  readonly hpas: readonly HorizontalPodAutoscaler[];
  /** The profile of the IHPA's name, whoever made it. */
  readonly profile?: KubeObject | undefined;
  /** The IHPA's own portraits. */
  readonly portraits: readonly HorizontalPortrait[];
  /** Undefined only where something blocks the IHPA. */
  readonly decision: Decision | undefined;
  /** The learned capacity, where the spec asks for it. */
  readonly capacity?: CapacityStatus;
  /** Why metrics have no live value. */
  readonly loadFaults: readonly Cause[];
  /** The widest limits that spec and bounds ever allow. */
  readonly limits: { readonly minReplicas: number; readonly maxReplicas: number };
  /** Whether this cluster's HPA takes a tolerance of its own. */
  readonly exactHpa: boolean;
}
