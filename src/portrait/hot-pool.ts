import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readWindow } from "./window.ts";

/**
 * The number of Standby pods to keep at a time: the largest `minReplicas` of the open windows, or that of the pool itself where no
 * window is open.
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
