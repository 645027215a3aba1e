import { podStateLabel } from "../api/labels.ts";

/** What a pod is for, and whether it does it yet. `Starting` serves as soon as it can; `Gone` counts no more. */
export type PodActivity = "Online" | "Starting" | "Cutoff" | "Standby" | "Gone";

/** What is read of a pod. */
export interface PodFacts {
  readonly metadata: { readonly deletionTimestamp?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** What a pod does now. One that is being deleted or has ended is gone. */
export function activityOf(pod: PodFacts): PodActivity {
  if (pod.metadata.deletionTimestamp !== undefined) return "Gone";
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return "Gone";
  const state = pod.metadata.labels?.[podStateLabel];
  if (state === "Cutoff" || state === "Standby") return state;
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  return isReady ? "Online" : "Starting";
}
