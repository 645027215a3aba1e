import type { Prediction } from "../../api/fields/prediction.ts";
import { parseDuration } from "../../api/values/duration.ts";
import type { Backtest } from "../demand/backtest.ts";
import { Drift } from "./drift.ts";
import type { Outcome } from "./outcome.ts";
import { RollingSums, type Sums } from "./rolling-sums.ts";

/** When a forecast is dropped: from `spec.prediction.accuracyGate`. */
export interface GateRules {
  readonly enabled: boolean;
  /** Largest error, as a share of the error of repeating the last season. */
  readonly maxError: number;
  /** Time over which the error is taken, and for which it must be too large. */
  readonly windowMs: number;
}

/** The rules of a validated spec; where it says nothing, the API's own defaults. */
export function gateRules(spec: Pick<Prediction, "accuracyGate"> | undefined): GateRules {
  const { enabled = true, maxError = "100%", window = "1h" } = spec?.accuracyGate ?? {};
  return { enabled, maxError: Number.parseFloat(maxError) / 100, windowMs: parseDuration(window) };
}

export type GateReason = "AsExpected" | "BacktestPassed" | "BacktestFailed" | "NotAccurate";

/** Whether a forecast may decide, and the figures behind it. */
export interface GateVerdict {
  readonly isTrusted: boolean;
  readonly reason: GateReason;
  /** One sentence for people. */
  readonly message: string;
  /** Error as a share of the load; NaN where nothing could be compared. Over the last day; of the backtest until a window has been evaluated. */
  readonly error: number;
  readonly relativeError: number;
  /** Share of actual values at or below the quantile that sizes pods, over the last day. */
  readonly coverage: number;
  readonly samples: number;
  /** Whether there was a season to compare with, live or in the backtest; else the forecast has not been evaluated yet. */
  readonly isCompared: boolean;
  readonly hasDrifted: boolean;
}

/** What outlives a new path: the verdict. Figures fill again within a window. */
export interface GateState {
  readonly isTrusted: boolean;
  readonly reason: GateReason;
}

/** Windows are kept in so many parts, and evaluated from nine of them on. */
const parts = 12;
const evaluatedParts = 9;
/** Errors below a twentieth of the load, or half a pod, are none: then even a repeated season can be better by chance. */
const smallShare = 0.05;
const smallPods = 0.5;
/** A quantile that holds for less than half of what it should is as wrong as a large error. */
const leastCoverage = 0.5;
/** The sum of the parts' excesses over the root of their squares: 1 where one part decides alone, √3 where three do alike. */
const significance = 1.7;
/** Drift shortens the wait to a half. */
const driftPart = 0.5;
/** Trust comes back at nine tenths of the error that lost it, kept for half a window. */
const backShare = 0.9;
const backPart = 0.5;
const dayMs = 86_400_000;

/**
 * Evaluates a forecast by the actual demand: its rolling error against that of repeating the last season, the coverage of its quantile, and
 * drift. Distrusts one whose error was too large for a whole window (half of one where it drifts as well), and trusts it again once it has
 * been good for half of one. Between the two it stays as it is.
 */
export class AccuracyGate {
  private readonly rules: GateRules;
  private readonly level: number;
  private readonly window: RollingSums;
  private readonly day: RollingSums;
  private readonly drift = new Drift();
  private backtest: Backtest | undefined;
  private trusted: boolean;
  private reason: GateReason;
  /** Since when the error has been too large, or good enough again; NaN where it is not. */
  private badSinceMs = Number.NaN;
  private goodSinceMs = Number.NaN;
  private isEvaluated = false;

  /** @param level quantile that sizes pods, in (0, 1) */
  constructor(rules: GateRules, level: number, state: GateState = { isTrusted: true, reason: "AsExpected" }) {
    this.rules = rules;
    this.level = level;
    this.window = new RollingSums(rules.windowMs, parts);
    this.day = new RollingSums(Math.max(dayMs, rules.windowMs), 24);
    this.trusted = state.isTrusted || !rules.enabled;
    this.reason = state.reason;
  }

  /** Takes in what a replay of the history says. It counts until a window has been evaluated live. */
  learn(backtest: Backtest): void {
    this.backtest = backtest;
    if (this.isEvaluated || this.reason === "NotAccurate") return;
    const isBad = matters(backtest.error, backtest.load) && backtest.relativeError > this.rules.maxError;
    this.trusted = !isBad || !this.rules.enabled;
    this.reason = isBad ? "BacktestFailed" : "BacktestPassed";
  }

  /** Takes in an outcome; times ascend. */
  add(outcome: Outcome): void {
    if (!Number.isFinite(outcome.actual) || !Number.isFinite(outcome.forecast)) return;
    this.window.add(outcome);
    this.day.add(outcome);
    this.drift.add(outcome.timeMs, outcome.actual - outcome.forecast);
    this.evaluate(outcome.timeMs);
  }

  private evaluate(timeMs: number): void {
    const { maxError, windowMs, enabled } = this.rules;
    const sums = this.window.sums(timeMs);
    if (sums.filled < evaluatedParts) return; // too little is known: the verdict stays as it is
    this.isEvaluated = true;
    const isBad = this.isBad(sums, maxError);
    this.badSinceMs = !isBad ? Number.NaN : Number.isNaN(this.badSinceMs) ? timeMs : this.badSinceMs;
    const isGood = !this.isBad(sums, backShare * maxError, 0);
    this.goodSinceMs = !isGood ? Number.NaN : Number.isNaN(this.goodSinceMs) ? timeMs : this.goodSinceMs;
    if (this.trusted) {
      this.reason = "AsExpected";
      if (enabled && isBad && timeMs - this.badSinceMs >= (this.drift.hasDrifted ? driftPart : 1) * windowMs) {
        this.trusted = false;
        this.reason = "NotAccurate";
      }
    } else if (isGood && timeMs - this.goodSinceMs >= backPart * windowMs) {
      this.trusted = true;
      this.reason = "AsExpected";
    }
  }

  private isBad(sums: Sums, maxError: number, least = significance): boolean {
    if (!matters(sums.error / sums.count, sums.load / sums.count)) return false;
    return isLarger(sums, maxError, least) || sums.covered < leastCoverage * this.level * sums.count;
  }

  get isTrusted(): boolean {
    return this.trusted;
  }

  /** How far too high the forecast has lately been: see `Drift`. */
  get excess(): number {
    return this.drift.excess;
  }

  state(): GateState {
    return { isTrusted: this.trusted, reason: this.reason };
  }

  /** The verdict as it stands. */
  verdict(timeMs: number): GateVerdict {
    const { isTrusted, reason, backtest } = this;
    const seen = this.day.sums(timeMs);
    const figures =
      seen.count > 0 && (this.isEvaluated || backtest === undefined)
        ? {
            error: share(seen.error, seen.load),
            relativeError: seen.filled > 0 ? share(seen.comparedError, seen.naiveError) : Number.NaN,
            coverage: seen.covered / seen.count,
            samples: seen.count,
          }
        : {
            error: backtest ? share(backtest.error, backtest.load) : Number.NaN,
            relativeError: backtest?.relativeError ?? Number.NaN,
            coverage: Number.NaN,
            samples: backtest?.samples ?? 0,
          };
    const isCompared = seen.filled > 0 || backtest !== undefined;
    const message = this.sentence(timeMs, isCompared ? figures.relativeError : Number.NaN);
    return { isTrusted, reason, message, ...figures, isCompared, hasDrifted: this.drift.hasDrifted };
  }

  private sentence(timeMs: number, relativeError: number): string {
    const { maxError, windowMs } = this.rules;
    const sums = this.window.sums(timeMs);
    const lately = share(sums.comparedError, sums.naiveError);
    const minutes = Math.round(windowMs / 60_000);
    const against = (error: number) => `${percent(error)} of the error of repeating the last season`;
    switch (this.reason) {
      case "NotAccurate": {
        const drifted = this.drift.hasDrifted ? ", and it drifts" : "";
        const covered = `its quantile held for ${percent(sums.covered / sums.count)} of the time`;
        return sums.filled < evaluatedParts
          ? "its errors were too large, and too few values have come since"
          : `over the last ${minutes} min its error was ${against(lately)} (${percent(maxError)} is allowed), ${covered}${drifted}`;
      }
      case "BacktestFailed":
        return `replayed over the history its error is ${against(this.backtest?.relativeError ?? Number.NaN)}; ${percent(maxError)} is allowed`;
      case "BacktestPassed":
        return `replayed over the history its error is ${against(this.backtest?.relativeError ?? Number.NaN)}`;
      case "AsExpected":
        return Number.isNaN(relativeError)
          ? "no season has passed yet to compare it with"
          : `over the last day its error is ${against(relativeError)}`;
    }
  }
}

/** Whether the error is too large, and not only for a moment: one spike that the season happened to meet does not decide. */
function isLarger({ parts: each }: Sums, maxError: number, least: number): boolean {
  let [sum, squares] = [0, 0];
  for (const { error, naiveError } of each) {
    const excess = error - maxError * naiveError;
    sum += excess;
    squares += excess * excess;
  }
  return sum > least * Math.sqrt(squares);
}

function matters(error: number, load: number): boolean {
  return error > Math.max(smallPods, smallShare * load);
}

/** 0 for 0 ÷ 0: no error at all. */
function share(a: number, b: number): number {
  return a === 0 ? 0 : a / b;
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(100 * share)} %` : "more than any share";
}
