import type { MetricSpec } from "../../api/fields/metrics.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  StabilityChecker,
} from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { CollectError, printable } from "../../collect/collect-error.ts";
import type { GrayStep } from "../../decide/steps/gray.ts";
import type { Log } from "../../kube/log.ts";
import { stamp } from "../../kube/times.ts";
import { activityOf } from "../../pods/pod-state.ts";
import { checkMetrics } from "../../stability/check-metrics.ts";
import {
  type CheckerReading,
  type CheckResult,
  decideStability,
  type StabilityDecision,
  type StabilityState,
  sinceUnknown,
} from "../../stability/stability.ts";
import type { ExternalPrograms, ExternalRef } from "../external-programs/external-programs.ts";
import { countPods, type Pod, requestsOf } from "../pods/workload-pods.ts";
import type { MetricReader } from "../workload/metric-reader.ts";
import type { MetricSubject } from "../workload/metric-subject.ts";
import { measuredRule } from "./checker-rules.ts";
import type { RegressionWatch } from "./regression-watch.ts";

/** A workload whose checkers are run. */
export interface CheckSubject {
  readonly key: string;
  readonly ihpa: IntelligentHorizontalPodAutoscaler;
  readonly pods: readonly Pod[];
  /** Whose metrics are read. */
  readonly metrics: MetricSubject;
  /** The change in progress. */
  readonly change: GrayStep["change"];
}

export interface StabilityChecksOptions {
  readonly metricReader: Pick<MetricReader, "follow" | "forget" | "hasAsked" | "now">;
  readonly regressions: Pick<RegressionWatch, "check" | "forget">;
  readonly programs: Pick<ExternalPrograms, "ask" | "fault">;
  /** Called with the result of each checker. */
  readonly onResult?: (kind: CheckResult["kind"]) => void;
  /** Called when all checkers of an IHPA have answered. */
  readonly onAnswered: (key: string) => void;
  /** How long a result is used. */
  readonly tickMs: number;
  readonly log: Log;
  readonly now: () => number;
}

interface Watch {
  /** The checkers' spec: another one starts afresh. */
  readonly spec: string;
  state: StabilityState | undefined;
  decision: StabilityDecision | undefined;
  askedMs: number;
  isAsking: boolean;
}

/** Runs the stability checkers of all IHPAs, once a tick each, and remembers failures. */
export class StabilityChecks {
  readonly #options: StabilityChecksOptions;
  readonly #watches = new Map<string, Watch>();

  constructor(options: StabilityChecksOptions) {
    this.#options = options;
  }

  /**
   * What the checkers allow changes to do. Where results are due the checkers are run, and `onAnswered` is called when they are there.
   *
   * @returns undefined where there are no checkers; `Asking` while results are awaited
   */
  decision(subject: CheckSubject): StabilityDecision | "Asking" | undefined {
    const { key, ihpa, metrics } = subject;
    const { stabilityCheckers: checkers = [], scaleMode, paused } = ihpa.spec;
    // In Preview and while paused no change is made that could be checked.
    if (checkers.length === 0 || scaleMode === "Preview" || paused) {
      if (!paused) this.forget(key);
      return undefined;
    }
    const { metricReader, tickMs, now } = this.#options;
    const watch = this.#watchOf(subject);
    if (watch.isAsking) return "Asking";
    const rules = checkers.flatMap(({ metrics }) => (metrics?.metrics ?? []) as readonly MetricSpec[]);
    const follower: MetricSubject = { ...metrics, key: subjectKey(key), metrics: rules };
    if (rules.length > 0) {
      metricReader.follow(follower);
      if (!metricReader.hasAsked(follower.key)) return "Asking";
    }
    if (watch.decision !== undefined && now() - watch.askedMs < tickMs / 2) return watch.decision;
    watch.isAsking = true;
    watch.askedMs = now();
    void this.#ask(subject, follower, watch).finally(() => {
      watch.isAsking = false;
      this.#options.onAnswered(key);
    });
    return "Asking";
  }

  forget(key: string): void {
    if (!this.#watches.delete(key)) return;
    this.#options.metricReader.forget(subjectKey(key));
    this.#options.regressions.forget(key);
  }

  #watchOf({ key, ihpa }: CheckSubject): Watch {
    const spec = JSON.stringify([ihpa.metadata.uid, ihpa.spec.stabilityCheckers]);
    const known = this.#watches.get(key);
    if (known?.spec === spec) return known;
    // Changed checkers start without failures; after a restart the status says what had failed.
    const state = known === undefined ? restoredState(ihpa) : undefined;
    this.#options.regressions.forget(key);
    const watch: Watch = { spec, state, decision: undefined, askedMs: Number.NEGATIVE_INFINITY, isAsking: false };
    this.#watches.set(key, watch);
    return watch;
  }

  async #ask(subject: CheckSubject, follower: MetricSubject, watch: Watch): Promise<void> {
    const { now, onResult } = this.#options;
    const { stabilityCheckers = [] } = subject.ihpa.spec;
    const readings = await Promise.all(
      stabilityCheckers.map(async (checker, index): Promise<CheckerReading> => {
        const name = checkerName(index);
        const result = await this.#result(checker, `${subject.key}/${name}`, subject, follower);
        onResult?.(result.kind);
        const { coolDownSeconds } = checker;
        return { name, stabilizationAction: actionOf(checker, name, subject, watch.state), coolDownSeconds, result };
      }),
    );
    watch.decision = decideStability(watch.state, readings, now());
    watch.state = watch.decision.state;
  }

  /** The result of one checker; any error makes it Unknown. */
  async #result(
    { metrics, regression, external }: StabilityChecker,
    key: string,
    subject: CheckSubject,
    follower: MetricSubject,
  ): Promise<CheckResult> {
    const { metricReader, regressions, log } = this.#options;
    try {
      if (external) return await this.#askProgram(external, subject);
      if (regression) return await regressions.check(key, regression, subject.metrics.namespace, subject.change);
      const requests = requestsOf(subject.pods);
      const { online } = countPods(subject.pods);
      const rules = (metrics?.metrics ?? []) as readonly MetricSpec[];
      return checkMetrics(rules.map((rule) => measuredRule(rule, metricReader.now(follower, rule), online, requests)));
    } catch (error) {
      if (!(error instanceof CollectError))
        log.error("a stability checker failed", { checker: key, error: (error as Error).message });
      return { kind: "Unknown", message: (error as Error).message };
    }
  }

  async #askProgram(external: ExternalRef, { ihpa, pods, change }: CheckSubject): Promise<CheckResult> {
    const { programs } = this.#options;
    const { stable, message } = await programs.ask(external, "/stability", {
      namespace: ihpa.metadata.namespace,
      ihpa: ihpa.metadata.name,
      workload: ihpa.spec.scaleTargetRef,
      step: stepOf(change),
      pods: namesByState(pods),
    });
    const text = typeof message === "string" ? printable(message, 300) : "";
    if (stable === true) return { kind: "Passed" };
    if (stable === false)
      return { kind: "Failed", message: `${external.name} says ${text || "that it is not stable"}` };
    throw programs.fault(external, 'answers /stability without "stable": true or false');
  }
}

function subjectKey(key: string): string {
  return `${key}/stabilityCheckers`;
}

function checkerName(index: number): string {
  return `stabilityCheckers[${index}]`;
}

/** Without a change in progress a failed check only pauses: there is nothing to roll back, and pods on standby stay there. */
function actionOf(
  { stabilizationAction }: StabilityChecker,
  name: string,
  { change }: CheckSubject,
  state: StabilityState | undefined,
): StabilityChecker["stabilizationAction"] {
  const tookBack = state?.trips.some((trip) => trip.name === name && trip.action === "Rollback") ?? false;
  return change !== undefined || tookBack ? stabilizationAction : "Pause";
}

/**
 * The failure from before a restart, as the condition `Stable` shows it: its message begins with the checker's name. Where the decision
 * beside it wanted pods out of service, nothing had been rolled back.
 */
function restoredState({ spec, status }: IntelligentHorizontalPodAutoscaler): StabilityState | undefined {
  const stable = status?.conditions?.find(({ type }) => type === "Stable");
  if (stable?.status !== "False" || (stable.reason !== "CheckFailed" && stable.reason !== "CoolingDown"))
    return undefined;
  const index = (spec.stabilityCheckers ?? []).findIndex((_, at) => stable.message.startsWith(`${checkerName(at)} `));
  const checker = spec.stabilityCheckers?.[index];
  if (checker === undefined) return undefined;
  const sinceMs = Date.parse(stable.lastTransitionTime);
  const lastMs = Math.max(sinceMs, Date.parse(status?.decision?.time ?? stable.lastTransitionTime));
  const name = checkerName(index);
  const { cutoff = 0, standby = 0 } = status?.decision ?? {};
  const action = cutoff + standby === 0 ? checker.stabilizationAction : "Pause";
  const message = stable.message
    .slice(name.length)
    .replace(/^ failed: /, "")
    .split(sinceUnknown)[0]
    .trim();
  return { trips: [{ name, action, sinceMs, lastMs, message }] };
}

function stepOf(change: GrayStep["change"]): object | null {
  if (change === undefined) return null;
  const { direction, from, to, online, percent, beganMs, stepMs } = change;
  return { direction, from, to, online, percent, beganTime: stamp(beganMs), stepTime: stamp(stepMs) };
}

function namesByState(pods: readonly Pod[]): Record<"online" | "starting" | "cutoff" | "standby", string[]> {
  const names = { online: [] as string[], starting: [] as string[], cutoff: [] as string[], standby: [] as string[] };
  for (const pod of pods) {
    const activity = activityOf(pod);
    if (activity !== "Gone") names[activity.toLowerCase() as keyof typeof names].push(pod.metadata.name);
  }
  return names;
}
