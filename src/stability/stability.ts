/** The result of one checker. `Unknown`: it could not be run, or does not know. */
export type CheckResult =
  | { readonly kind: "Passed" }
  | { readonly kind: "Failed" | "Unknown"; readonly message: string };

/** One of `spec.stabilityCheckers`, with its last result. */
export interface CheckerReading {
  /** Such as `stabilityCheckers[0]`; its state is kept under this name. */
  readonly name: string;
  readonly stabilizationAction: "Pause" | "Rollback";
  readonly coolDownSeconds: number;
  readonly result: CheckResult;
}

/** The state of a checker that failed, as plain JSON. */
export interface CheckerTrip {
  readonly name: string;
  readonly action: "Pause" | "Rollback";
  /** When it failed first, and when its result was last Failed or Unknown. */
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly message: string;
}

export interface StabilityState {
  readonly trips: readonly CheckerTrip[];
}

/** Stands in a message between why a checker failed and why its result is unknown since then. */
export const sinceUnknown = "; now its result is unknown: ";

/** What the checkers allow changes to do. */
export interface StabilityDecision {
  /** GoOn; Pause: no step, no pod leaves service; Rollback: all pods that are out of service come back, and no step is made. */
  readonly action: "GoOn" | "Pause" | "Rollback";
  readonly reason: "ChecksPassed" | "CheckFailed" | "CheckUnknown" | "CoolingDown";
  readonly message: string;
  readonly state: StabilityState;
}

/**
 * What the checkers allow changes to do now. A failed checker acts until it has passed for coolDownSeconds; an Unknown one pauses changes
 * and rolls none back; Rollback wins over Pause. A checker that failed and has been Unknown since then has not passed.
 *
 * @param state of the last decision; undefined at the start
 */
export function decideStability(
  state: StabilityState | undefined,
  readings: readonly CheckerReading[],
  nowMs: number,
): StabilityDecision {
  const trips: CheckerTrip[] = [];
  let unknown: string | undefined;
  let cooling: string | undefined;
  for (const { name, stabilizationAction: action, coolDownSeconds, result } of readings) {
    const before = state?.trips.find((trip) => trip.name === name);
    if (result.kind === "Failed")
      trips.push({ name, action, sinceMs: before?.sinceMs ?? nowMs, lastMs: nowMs, message: result.message });
    else if (result.kind === "Unknown") {
      unknown ??= `${name} has no result: ${result.message}`;
      if (before) trips.push({ ...before, action, lastMs: nowMs });
    } else if (before && nowMs - before.lastMs < coolDownSeconds * 1000) {
      trips.push({ ...before, action });
      const seconds = Math.ceil(coolDownSeconds - (nowMs - before.lastMs) / 1000);
      cooling ??= `${name} passes again; changes resume in ${seconds} s`;
    }
  }
  const worst = trips.find(({ action }) => action === "Rollback") ?? trips[0];
  if (worst !== undefined) {
    const isCooling = worst.lastMs < nowMs;
    const { result } = readings.find(({ name }) => name === worst.name)!;
    const since = result.kind === "Unknown" ? `${sinceUnknown}${result.message}` : "";
    const message = isCooling && cooling !== undefined ? cooling : `${worst.name} failed: ${worst.message}${since}`;
    return { action: worst.action, reason: isCooling ? "CoolingDown" : "CheckFailed", message, state: { trips } };
  }
  if (unknown !== undefined)
    return {
      action: "Pause",
      reason: "CheckUnknown",
      message: `${unknown}; changes wait until it has`,
      state: { trips },
    };
  return { action: "GoOn", reason: "ChecksPassed", message: "all checks pass", state: { trips } };
}
