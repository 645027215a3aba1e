import type { Reason } from "../api/conditions.ts";
import type { Accuracy } from "../api/kinds/horizontal-portrait.ts";
import type { ForecastAccuracy } from "./accuracy.ts";
import { targetText } from "./replay/tune-target.ts";

export type Verdict = NonNullable<Accuracy["verdict"]>;

/** One thing that the verdict rests on. */
export interface VerdictReason {
  /** As in conditions and Events. */
  readonly reason: Extract<
    Reason,
    | "BacktestPassed"
    | "BacktestFailed"
    | "ExternalGenerator"
    | "HistoryTooShort"
    | "NotAccurate"
    | "NotPredictable"
    | "TooFewReplicas"
  >;
  readonly isGood: boolean;
  /** True for what does not change the verdict but should be known: neither for it nor against it. */
  readonly isCaution?: true;
  /** One sentence for people, with the figures. */
  readonly message: string;
}

/** What a verdict is made from. */
export interface VerdictFacts {
  readonly learntDays: number;
  readonly accuracy: ForecastAccuracy | undefined;
  /** Why there was no forecast, where there was none. */
  readonly refusal: string | undefined;
  /** What the manifest has forecast by, where a replay can't ask it and another forecast stood in. */
  readonly notReplayed?: string | undefined;
  /** Names of loads that rise and reset as counters do. */
  readonly counters: readonly string[];
  /** Largest error allowed, as a share of that of repeating the last day: the manifest's accuracy gate. */
  readonly maxError: number;
  /** Share of time that may lack pods, 0 … 1, and the setting that says so, such as "quantile 95". */
  readonly allowedShort: number;
  readonly allowedBy: string;
  /** Share of time that lacked pods. */
  readonly short: number;
  readonly podHours: number;
  /** Demand that no pod was there for, as a share of all demand. */
  readonly unserved: number;
  /** How often the size changed. */
  readonly actionsPerDay: number;
  readonly startupSeconds: number;
  /** The plain HPA, at the target that was cheapest among those that lacked pods no longer. */
  readonly tuned: {
    readonly target: number;
    readonly podHours: number;
    readonly short: number;
    readonly isAsGood: boolean;
    readonly unserved: number;
    readonly actionsPerDay: number;
  };
  /** Share of time in which the load needs more than maxReplicas. */
  readonly capped: number;
  /** Whether the load needs the same number of pods all the time. */
  readonly isConstant: boolean;
}

/** With less history than this, days have hardly been seen to repeat. */
const leastLearntDays = 4;
/** The forecast of a day must be this much better than carrying the last hour on, to be called one. */
const levelMargin = 0.95;
/** Of the values, this many at least must be at or below the 0.9 quantile; two days are too few to ask for more. */
const leastCoverage = 0.75;
/** Nobody tunes in hindsight: a little more than an HPA that was is still as good. */
const costMargin = 0.02;
/** A promise about weeks is not judged to the minute by two days. */
const promiseFactor = 2;
/** A promise is about time. While pods lack, this share of the demand may find none: more is a hole, not a shortage. */
const usualDepth = 0.1;
/** A size that changes more often than this in the mean, or than pods start, is churn. */
const shortestActionSeconds = 60;

/**
 * What to do with a workload, and why. Enable: history enough, a forecast that beats repetition with honest bands, pods in
 * time as promised, neither deep shortages nor churn, and no more pods than any HPA that served as well. NotPredictable: the forecast knows nothing and
 * nothing is saved. KeepObserving: anything between.
 */
export function verdictOf(facts: VerdictFacts): { verdict: Verdict; reasons: VerdictReason[] } {
  const history = judgeHistory(facts);
  const forecast = judgeForecast(facts);
  const coverage = judgeCoverage(facts);
  const cost = judgeCost(facts);
  // More headroom is no remedy where what there is costs too much already.
  const isDearer = !cost.isGood && !facts.isConstant;
  const promise = judgePromise(facts, isDearer);
  const reasons = [
    judgeCounters(facts),
    forecast,
    coverage,
    cost,
    promise,
    judgeUnserved(facts, isDearer),
    judgeActions(facts),
    judgeCap(facts),
    history,
  ].flatMap((each) => each ?? []);
  const isBlind = forecast.reason === "NotPredictable" && !forecast.isGood;
  if (isBlind && !cost.isGood) return { verdict: "NotPredictable", reasons };
  return { verdict: reasons.every(({ isGood }) => isGood) ? "Enable" : "KeepObserving", reasons };
}

function judgeCounters({ counters }: VerdictFacts): VerdictReason | undefined {
  if (counters.length === 0) return undefined;
  const message = `${counters.join(" and ")} ${counters.length === 1 ? "takes" : "take"} a counter's course, rising and never falling but to start again; it was replayed as a load all the same, so give the rate, as rate() of a Prometheus counter does.`;
  return { reason: "BacktestFailed", isGood: false, message };
}

function judgeHistory({ learntDays }: VerdictFacts): VerdictReason | undefined {
  if (learntDays >= 7 - 1e-6) return undefined;
  const isGood = learntDays >= leastLearntDays - 1e-6;
  return {
    reason: "HistoryTooShort",
    isGood,
    ...(isGood && { isCaution: true }),
    message: isGood
      ? `It learnt from ${round(learntDays)} days only: not every day of the week has been seen.`
      : `It learnt from ${round(learntDays)} days only; ${leastLearntDays} are needed for a judgement, better 14.`,
  };
}

function judgeForecast({ accuracy, refusal, maxError, notReplayed }: VerdictFacts): VerdictReason {
  if (notReplayed !== undefined)
    return {
      reason: "ExternalGenerator",
      isGood: false,
      message: `The manifest's forecast comes from ${notReplayed}, which a replay can't ask: it is not judged. All figures are those of Forescale's own forecast in its place.`,
    };
  if (accuracy === undefined) {
    const message = `There is no forecast to judge: ${refusal ?? "no value came that it could be compared with"}.`;
    return { reason: "NotPredictable", isGood: false, message };
  }
  const { relativeWql, relativeToLevel, wape } = accuracy;
  if (relativeWql === undefined)
    return { reason: "BacktestPassed", isGood: true, message: "The load repeats itself exactly from day to day." };
  const figures = `its quantile loss is ${round(relativeWql)} of that of repeating the last day${wape === undefined ? "" : `, its median errs by ${percent(wape)} of the load`}`;
  if (relativeWql >= maxError || (relativeToLevel ?? 0) >= 1)
    return {
      reason: relativeWql >= 1 || (relativeToLevel ?? 0) >= 1 ? "NotPredictable" : "NotAccurate",
      isGood: false,
      message:
        relativeWql >= maxError
          ? `The forecast is no better than the accuracy gate's ${percent(maxError)} of repeating the last day: ${figures}.`
          : `The forecast of the median is no better than carrying the last hour on: ${figures}.`,
    };
  if ((relativeToLevel ?? 0) >= levelMargin)
    return {
      reason: "NotPredictable",
      isGood: false,
      message: `The forecast hardly beats carrying the last hour on: ${figures}.`,
    };
  return { reason: "BacktestPassed", isGood: true, message: `The forecast is worth having: ${figures}.` };
}

function judgeCoverage({ accuracy, notReplayed }: VerdictFacts): VerdictReason | undefined {
  if (notReplayed !== undefined) return undefined;
  const observed = accuracy?.coverage.find(({ level }) => level === 0.9)?.observed;
  if (observed === undefined) return undefined;
  const isGood = observed >= leastCoverage;
  const message = `${percent(observed)} of the values came at or below the forecast's 0.9 quantile${isGood ? "." : ": its bands are too narrow."}`;
  return { reason: isGood ? "BacktestPassed" : "NotAccurate", isGood, message };
}

function judgeCost({ podHours, tuned, isConstant, short }: VerdictFacts): VerdictReason {
  if (isConstant)
    return {
      reason: "BacktestFailed",
      isGood: false,
      message: "The load needs the same number of pods all the time: there is nothing to scale.",
    };
  const change = podHours / tuned.podHours - 1;
  const size = `${percent(Math.abs(change))} ${change <= 0 ? "fewer" : "more"} pod-hours`;
  const target = `the plain HPA tuned in hindsight (target ${targetText(tuned.target)})`;
  if (!tuned.isAsGood)
    return {
      reason: "BacktestPassed",
      isGood: true,
      message: `No target of a plain HPA lacks pods as little: the best (target ${targetText(tuned.target)}) lacks them ${percent(tuned.short)} of the time, Forescale ${percent(short)}.`,
    };
  const isGood = change <= costMargin;
  const message = `Forescale takes ${size} than ${target}, which lacks pods no more of the time.`;
  return judged(isGood, change > 0, message);
}

function judgePromise({ short, allowedShort, allowedBy }: VerdictFacts, isDearer: boolean): VerdictReason {
  const isGood = short <= promiseFactor * allowedShort;
  const lacks = `It lacks pods ${percent(short)} of the time`;
  const isLenient = isGood && short > allowedShort;
  const leniency = isLenient ? ", and a replay is judged by twice that" : "";
  const message = isGood
    ? `${lacks}; ${allowedBy} allows ${percent(allowedShort)}${leniency}.`
    : `${lacks}, more than twice the ${percent(allowedShort)} that ${allowedBy} allows: ${remedy(isDearer)}.`;
  return judged(isGood, isLenient, message);
}

function judgeUnserved({ unserved, allowedShort, tuned }: VerdictFacts, isDearer: boolean): VerdictReason {
  // An HPA that leaves as much unserved shows that the load's bursts do it.
  const isGood = unserved <= promiseFactor * Math.max(usualDepth * allowedShort, tuned.unserved) + 1e-12;
  const message = `No pod was there for ${percent(unserved)} of the demand, with the tuned HPA for ${percent(tuned.unserved)}${isGood ? "." : `: when pods lack, many do; ${remedy(isDearer)}.`}`;
  return judged(isGood, unserved > tuned.unserved, message);
}

/** What helps where pods lack. */
function remedy(isDearer: boolean): string {
  return isDearer
    ? "more headroom would cost still more, pods that start faster help both"
    : "ask for a higher quantile, or a stricter objective";
}

function judgeActions({ actionsPerDay, startupSeconds, tuned }: VerdictFacts): VerdictReason {
  const shortest = Math.max(shortestActionSeconds, startupSeconds);
  const isGood = actionsPerDay * shortest <= 86_400 + 1e-6;
  const times = (count: number) => (count >= 1.5 ? `${count.toFixed(0)} times` : count === 0 ? "never" : "about once");
  const message = `It changes the size ${times(actionsPerDay)} a day, the tuned HPA ${times(tuned.actionsPerDay)}${isGood ? "." : `: more often than every ${shortest} s; give behavior.scaleDown.stabilizationWindowSeconds.`}`;
  return judged(isGood, actionsPerDay > tuned.actionsPerDay, message);
}

function judgeCap({ capped }: VerdictFacts): VerdictReason | undefined {
  if (capped === 0) return undefined;
  const message = `The load needs more than maxReplicas ${percent(capped)} of the time: raise maxReplicas.`;
  return { reason: "TooFewReplicas", isGood: false, message };
}

/** @param isDrawback whether it speaks against the workload, though within what is allowed */
function judged(isGood: boolean, isDrawback: boolean, message: string): VerdictReason {
  const reason = isGood ? "BacktestPassed" : "BacktestFailed";
  return { reason, isGood, ...(isGood && isDrawback && { isCaution: true }), message };
}

function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.005) return "< 0.01 %";
  return `${value.toFixed(value >= 10 || value === 0 ? 0 : value >= 1 ? 1 : 2)} %`;
}

function round(value: number): string {
  return String(Number(value.toFixed(2)));
}
