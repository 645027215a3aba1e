import type { Rung } from "../api/conditions.ts";
import type { CapacityStatus } from "../api/fields/capacity.ts";
import { headroomOf } from "../api/fields/prediction.ts";
import { parseDuration } from "../api/values/duration.ts";
import type { DecisionReason } from "../decide/decision.ts";
import { examine } from "../forecast/data/data-quality.ts";
import { accuracyOf, type ForecastAccuracy } from "./accuracy.ts";
import { algorithmFor } from "./algorithm-for.ts";
import { type Run, runPolicy, scoreSizes } from "./replay/cluster.ts";
import { forescalePolicy } from "./replay/forescale-policy.ts";
import { fixedAtPeak, plainHpa, tuneHpa, tuneSchedule, usualTarget } from "./replay/plain-policies.ts";
import { type ReplayDemand, type ReplayInputs, replayInputsOf } from "./replay/replay-inputs.ts";
import type { Tried, Tuned } from "./replay/tune-target.ts";
import { type Pictures, picturesOf } from "./report/pictures.ts";
import { type RollingForecasts, rollForecasts } from "./rolling-forecasts.ts";
import { type Verdict, type VerdictFacts, type VerdictReason, verdictOf } from "./verdict.ts";
import { type ReplayRules, spanOf, tickMs, type Workload } from "./workload.ts";

export const policyNames = ["forescale", "hpaTuned", "hpaDefault", "cronTuned", "fixed", "oracle"] as const;
export type PolicyName = (typeof policyNames)[number];

/** What a policy came to. */
export interface PolicyResult {
  readonly podHours: number;
  /** Pod-hours ÷ the oracle's. */
  readonly overOracle: number;
  readonly underProvisionedMinutes: number;
  /** The same as a share of the replay, 0 … 1. */
  readonly underProvisioned: number;
  /** Demand that no pod was there for, as a share of all demand, 0 … 1. */
  readonly unserved: number;
  /** How often its size changed. */
  readonly actions: number;
  /** Of `podHours`, those of pods on standby, which are frozen with their memory given back; absent where there were none. */
  readonly standbyPodHours?: number;
  /** Load that it aims at, as a share of what a pod carries; for HPAs. */
  readonly target?: number;
  /** Whether a tuned policy lacks pods no longer than Forescale at some target; where not, the best one stands here. */
  readonly isAsGood?: boolean;
}

/** A policy at one of the targets tried. */
export interface TriedResult {
  readonly policy: "hpa" | "cron";
  readonly target: number;
  readonly podHours: number;
  readonly overOracle: number;
  readonly underProvisioned: number;
  readonly unserved: number;
  readonly actions: number;
}

/** All that a workload's backtest tells. Times are milliseconds since the epoch. */
export interface BacktestResult {
  readonly name: string;
  readonly learnFromMs: number;
  readonly replayFromMs: number;
  readonly replayUntilMs: number;
  readonly stepSeconds: number;
  readonly startupSeconds: number;
  /** What a full pod carries of each metric. */
  readonly podTargets: Readonly<Record<string, number>>;
  /** What was learnt of the capacity from the past, where the manifest asks for more than the targets. */
  readonly capacity?: CapacityStatus;
  /** Share of the replay in which a learnt capacity is asked about more load, in all or per pod, than its past had; absent where the targets hold. */
  readonly extrapolated?: number;
  /** What so many pods (the oracle's mean) carry of one load by a learnt capacity; absent where the targets hold, or several loads count. */
  readonly carried?: { readonly name: string; readonly pods: number; readonly load: number };
  /** The metric that needs the most pods: the forecasts judged are its. */
  readonly metric: string;
  /** Name of the algorithm that made those forecasts. */
  readonly algorithm: string;
  /** What the manifest has forecast by instead, which a replay can't ask; absent where the manifest's is replayed. */
  readonly notReplayed?: string;
  readonly policies: Readonly<Record<PolicyName, PolicyResult>>;
  readonly tried: readonly TriedResult[];
  /** Share of Forescale's decisions by rung and by reason, the most frequent first. */
  readonly decisions: {
    readonly rungs: Readonly<Partial<Record<Rung, number>>>;
    readonly reasons: Readonly<Partial<Record<DecisionReason, number>>>;
  };
  /** Undefined where there was no forecast to compare. */
  readonly accuracy: ForecastAccuracy | undefined;
  readonly verdict: Verdict;
  readonly reasons: readonly VerdictReason[];
  readonly pictures: Pictures;
}

/**
 * Replays the last part of a workload's history tick by tick: Forescale's own stages and HPA arithmetic against plain HPAs,
 * the past's schedule, a fixed size and a clairvoyant, all in the same model of a cluster.
 *
 * @param onProgress called with the share done, 0 … 1
 * @throws HistoryError for a history that cannot be replayed, RangeError for a manifest that cannot be
 */
export function backtest(
  workload: Workload,
  rules: ReplayRules,
  onProgress: (share: number) => void = () => {},
): BacktestResult {
  const span = spanOf(workload, rules);
  const inputs = replayInputsOf(workload, span, rules);
  const algorithm = algorithmFor(workload.spec);
  const rolled = forecastsOf(inputs, algorithm.replayed);
  onProgress(0.3);
  const replayed = replayPolicies(inputs, rolled, onProgress);
  const policies = policyResults(inputs, replayed);
  const leading = leadingDemand(inputs);
  const rolling = rolled.get(leading.name)!;
  const accuracy = accuracyOf(rolling);
  const { verdict, reasons } = verdictOf(
    verdictFacts({ inputs, rules, policies, replayed, rolling, accuracy, notReplayed: algorithm.notReplayed }),
  );
  const { hpaTuned, cronTuned, forescale, oracle } = replayed;
  const tried = resultsOver(inputs, oracle);
  return {
    name: workload.name,
    ...span,
    stepSeconds: Math.max(...inputs.metrics.map(({ load }) => load.stepMs)) / 1000,
    startupSeconds: rules.startupSeconds,
    podTargets: Object.fromEntries(workload.podTargets),
    ...(inputs.capacity && { capacity: inputs.capacity.status }),
    ...extrapolatedIn(inputs),
    ...carriedBy(inputs),
    metric: leading.name,
    algorithm: algorithm.replayed,
    ...(algorithm.notReplayed !== undefined && { notReplayed: algorithm.notReplayed }),
    policies,
    tried: [
      ...hpaTuned.tried.map((each) => triedResult("hpa", each, tried)),
      ...cronTuned.tried.map((each) => triedResult("cron", each, tried)),
    ],
    decisions: { rungs: sharesOf(replayed.rungs), reasons: sharesOf(replayed.reasons) },
    accuracy,
    verdict,
    reasons,
    pictures: picturesOf(inputs, leading, rolling, {
      forescale: forescale.pods,
      hpa: hpaTuned.run.pods,
      oracle: oracle.pods,
    }),
  };
}

/** The forecasts that were known at each moment of the replay, by demand. */
function forecastsOf({ workload, span, demands }: ReplayInputs, algorithm: string): Map<string, RollingForecasts> {
  const { prediction } = workload.spec;
  const options = {
    fromMs: span.replayFromMs,
    untilMs: span.replayUntilMs,
    horizonMs: parseDuration(prediction?.horizon ?? "24h"),
    historyMs: parseDuration(prediction?.history ?? "14d"),
    timeZone: prediction?.timeZone ?? "UTC",
    algorithm,
  };
  return new Map(demands.map(({ name, load }) => [name, rollForecasts(load, options)]));
}

interface Replayed {
  readonly forescale: Run;
  readonly hpaTuned: Tuned;
  readonly cronTuned: Tuned;
  readonly oracle: Run;
  /** How often Forescale decided on each rung, and for each reason. */
  readonly rungs: ReadonlyMap<Rung, number>;
  readonly reasons: ReadonlyMap<DecisionReason, number>;
}

/** Forescale and those that it is compared with, through the same ticks; the plain ones tuned to lack pods no longer. */
function replayPolicies(
  inputs: ReplayInputs,
  forecasts: ReadonlyMap<string, RollingForecasts>,
  onProgress: (share: number) => void,
): Replayed {
  const rungs = new Map<Rung, number>();
  const reasons = new Map<DecisionReason, number>();
  const policy = forescalePolicy(
    inputs,
    (metric, timeMs) => forecasts.get(metric)?.latest(timeMs),
    ({ rung, reason }) => {
      rungs.set(rung, (rungs.get(rung) ?? 0) + 1);
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    },
  );
  const forescale = runPolicy(inputs, policy);
  onProgress(0.6);
  const hpaTuned = tuneHpa(inputs, forescale.underProvisionedMinutes);
  onProgress(0.8);
  const timeZone = inputs.workload.spec.prediction?.timeZone ?? "UTC";
  const cronTuned = tuneSchedule(inputs, timeZone, forescale.underProvisionedMinutes);
  const oracle = scoreSizes(inputs, (tick) => inputs.oracle[tick]);
  return { forescale, hpaTuned, cronTuned, oracle, rungs, reasons };
}

type ResultOf = (run: Run, about?: Pick<PolicyResult, "target" | "isAsGood">) => PolicyResult;

/** Gives runs as results: beside the oracle's, and as shares of the replay. */
function resultsOver(inputs: ReplayInputs, oracle: Run): ResultOf {
  const spanMinutes = (inputs.ticks * tickMs) / 60_000;
  return (run, about = {}) => ({
    podHours: run.podHours,
    overOracle: run.podHours / oracle.podHours,
    underProvisionedMinutes: run.underProvisionedMinutes,
    underProvisioned: run.underProvisionedMinutes / spanMinutes,
    unserved: run.unserved,
    actions: run.actions,
    ...(run.standbyPodHours > 0 && { standbyPodHours: run.standbyPodHours }),
    ...about,
  });
}

function policyResults(
  inputs: ReplayInputs,
  { forescale, hpaTuned, cronTuned, oracle }: Replayed,
): Record<PolicyName, PolicyResult> {
  const result = resultsOver(inputs, oracle);
  return {
    forescale: result(forescale),
    hpaTuned: result(hpaTuned.run, { target: hpaTuned.target, isAsGood: hpaTuned.isAsGood }),
    hpaDefault: result(runPolicy(inputs, plainHpa(inputs, usualTarget)), { target: usualTarget }),
    cronTuned: result(cronTuned.run, { target: cronTuned.target, isAsGood: cronTuned.isAsGood }),
    fixed: result(fixedAtPeak(inputs)),
    oracle: result(oracle),
  };
}

interface Judged {
  readonly inputs: ReplayInputs;
  readonly rules: ReplayRules;
  readonly policies: Readonly<Record<PolicyName, PolicyResult>>;
  readonly replayed: Replayed;
  readonly rolling: RollingForecasts;
  readonly accuracy: ForecastAccuracy | undefined;
  readonly notReplayed: string | undefined;
}

/** What the verdict rests on. */
function verdictFacts({ inputs, rules, policies, replayed, rolling, accuracy, notReplayed }: Judged): VerdictFacts {
  const { span, workload, needed, limits, metrics, oracle, ticks } = inputs;
  const { prediction } = workload.spec;
  const { forescale, hpaTuned } = policies;
  const days = (ticks * tickMs) / 86_400_000;
  return {
    learntDays: (span.replayFromMs - span.learnFromMs) / 86_400_000,
    accuracy,
    refusal: refusalOf(rolling),
    notReplayed,
    counters: metrics.filter(({ load }) => examine(load).resets !== undefined).map(({ name }) => name),
    maxError: Number((prediction?.accuracyGate?.maxError ?? "100%").slice(0, -1)) / 100,
    ...allowanceOf(headroomOf(prediction)),
    short: forescale.underProvisioned,
    podHours: forescale.podHours,
    unserved: forescale.unserved,
    actionsPerDay: forescale.actions / days,
    startupSeconds: rules.startupSeconds,
    tuned: {
      target: replayed.hpaTuned.target,
      podHours: hpaTuned.podHours,
      short: hpaTuned.underProvisioned,
      isAsGood: replayed.hpaTuned.isAsGood,
      unserved: hpaTuned.unserved,
      actionsPerDay: hpaTuned.actions / days,
    },
    capped: needed.reduce((n, pods) => n + (pods > limits.maxReplicas ? 1 : 0), 0) / Math.max(1, ticks),
    isConstant: oracle.every((pods) => pods === oracle[0]),
  };
}

function sharesOf<K extends string>(counts: ReadonlyMap<K, number>): Partial<Record<K, number>> {
  const all = counts.values().reduce((sum, count) => sum + count, 0);
  const entries = [...counts].sort((a, b) => b[1] - a[1]).map(([key, count]) => [key, count / all] as const);
  return Object.fromEntries(entries) as Partial<Record<K, number>>;
}

function triedResult(policy: TriedResult["policy"], { target, run }: Tried, result: ResultOf): TriedResult {
  const { podHours, overOracle, underProvisioned, unserved, actions } = result(run);
  return { policy, target, podHours, overOracle, underProvisioned, unserved, actions };
}

function extrapolatedIn({ capacity, metrics, ticks }: ReplayInputs): Pick<BacktestResult, "extrapolated"> {
  const demand = capacity?.demand;
  if (demand === undefined) return {};
  const loads = demand.loads.map((name) => metrics.find((metric) => metric.name === name)!.atTick);
  let beyond = 0;
  for (let k = 0; k < ticks; k++) if (demand.extrapolates(loads.map((each) => each[k]))) beyond++;
  return { extrapolated: beyond / ticks };
}

/** What a learnt capacity of one load comes to at the replay's usual size. */
function carriedBy({ capacity, oracle }: ReplayInputs): Pick<BacktestResult, "carried"> {
  const demand = capacity?.demand;
  if (demand?.loads.length !== 1) return {};
  const pods = Math.max(1, Math.round(oracle.reduce((sum, each) => sum + each, 0) / oracle.length));
  return { carried: { name: demand.name, pods, load: demand.carried(pods) } };
}

/** The demand that asks for the most pods over the replay. */
function leadingDemand({ demands, span }: ReplayInputs): ReplayDemand {
  const asked = ({ load: { startMs, stepMs, values }, pods }: ReplayDemand) =>
    values
      .slice(Math.floor((span.replayFromMs - startMs) / stepMs))
      .reduce((sum, value) => sum + (pods(value) || 0), 0) * stepMs;
  return demands.length === 1 ? demands[0] : demands.toSorted((a, b) => asked(b) - asked(a))[0];
}

/** The share of time that may lack pods, and the setting that says so. */
function allowanceOf(headroom: ReturnType<typeof headroomOf>): { allowedShort: number; allowedBy: string } {
  const text = (share: number) => Number((100 * share).toPrecision(6));
  return headroom.kind === "Quantile"
    ? { allowedShort: 1 - headroom.quantile, allowedBy: `quantile ${text(headroom.quantile)}` }
    : { allowedShort: headroom.underProvisioned, allowedBy: `objective ${text(headroom.underProvisioned)} %` };
}

function refusalOf({ refusals }: RollingForecasts): string | undefined {
  const first = refusals[0];
  if (first === undefined) return undefined;
  return first.kind === "TooShort"
    ? `${first.samples} values are known where ${first.needed} are needed`
    : first.why.replace(/\.$/, "");
}
