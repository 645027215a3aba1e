import type { CheckResult } from "../../../src/stability/stability.ts";

/** What is known of one container that restarted. */
export interface Restart {
  readonly pod: string;
  readonly timeMs: number;
}

/** Fails where more containers restarted since the change began than `most`. Pure: who asks it has read the pods. */
export function checkRestarts(restarts: readonly Restart[], beganMs: number, most: number): CheckResult {
  const pods = restarts.filter(({ timeMs }) => timeMs >= beganMs).map(({ pod }) => pod);
  return pods.length <= most
    ? { kind: "Passed" }
    : { kind: "Failed", message: `${pods.length} containers restarted since the change began: ${pods.join(", ")}` };
}
