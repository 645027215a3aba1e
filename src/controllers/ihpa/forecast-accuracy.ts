import type { Accuracy } from "../../api/kinds/horizontal-portrait.ts";
import type { ForecastAccuracy } from "../../decide/decision.ts";
import type { Claim } from "../status/set-condition.ts";

/** The condition that says whether decisions may use the forecast. */
export function trustClaim({ isTrusted, reason, metric, message }: ForecastAccuracy): Claim {
  return {
    type: "ForecastTrusted",
    status: isTrusted ? "True" : "False",
    reason,
    message: `${metric}: ${message}`.slice(0, 1024),
  };
}

/**
 * The figures of the accuracy gate as a status shows them; what could not be compared is left out.
 *
 * @param measured accuracy of the portrait's forecast in replays, which covers more levels
 * @param updateTime RFC 3339, whole seconds
 */
export function accuracyStatus(
  accuracy: ForecastAccuracy,
  measured: Accuracy | undefined,
  updateTime: string,
): Accuracy {
  const { error, relativeError, coverage, level, samples, message } = accuracy;
  const others = (measured?.coverage ?? []).filter((each) => each.level !== level);
  const own = Number.isFinite(coverage) ? [{ level, observed: round(coverage), samples }] : [];
  const levels = [...others, ...own].sort((a, b) => a.level - b.level).slice(0, 32);
  return {
    ...(Number.isFinite(error) && { percent: Math.min(100, Math.max(0, Math.round(100 * (1 - error)))) }),
    ...(Number.isFinite(relativeError) && { relativeError: round(relativeError) }),
    samples,
    ...(levels.length > 0 && { coverage: levels }),
    verdict: verdictOf(accuracy),
    message: message.slice(0, 1024),
    updateTime,
  };
}

/** A forecast that is not trusted now may be again: KeepObserving. */
function verdictOf({ isTrusted, reason }: ForecastAccuracy): NonNullable<Accuracy["verdict"]> {
  if (reason === "BacktestFailed") return "NotPredictable";
  return isTrusted ? "Enable" : "KeepObserving";
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
