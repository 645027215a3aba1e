import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readWindow } from "./window.ts";

/**
 * The frozen pods to be kept at hand at a moment: the largest `minReplicas` of the open windows, or that of the pool itself where
 * none is open.
 *
 * @throws RangeError naming the window where one cannot be read
 */
export function createHotPool(standby: IntelligentHorizontalPodAutoscalerSpec["standby"]): (timeMs: number) => number {
  const windows = (standby?.schedule ?? []).map((window) => ({ ...window, times: readWindow(window) }));
  return (timeMs) => {
    const open = windows.filter(({ times }) => times.isOpen(timeMs)).map(({ minReplicas }) => minReplicas);
    return open.length > 0 ? Math.max(...open) : (standby?.minReplicas ?? 0);
  };
}
