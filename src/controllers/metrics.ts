import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { type Rung, rungs } from "../api/conditions.ts";
import type { Decision } from "../decide/decision.ts";
import type { ObjectKey } from "../kube/client/resource.ts";

/** The controllers' metrics: one series per workload, none per pod. */
export interface ControllerMetrics {
  observe(key: ObjectKey, decision: Decision | undefined): void;
  forget(key: ObjectKey): void;
  readonly forecastSeconds: Histogram<"outcome">;
  readonly rounds: Counter<"outcome">;
  /** Stability checkers asked. */
  readonly checks: Counter<"result">;
}

const actions = ["Pause", "Rollback"] as const;

/** Registers the metrics of this folder. */
export function controllerMetrics(registry: Registry): ControllerMetrics {
  const registers = [registry];
  const workload = ["namespace", "ihpa"] as const;
  const desired = new Gauge({
    name: "forescale_controllers_desired_replicas",
    help: "Desired replicas, all pod states together.",
    labelNames: workload,
    registers,
  });
  const proposed = new Gauge({
    name: "forescale_controllers_proposed_replicas",
    help: "Replicas that each provider proposes.",
    labelNames: [...workload, "provider"] as const,
    registers,
  });
  const lead = new Gauge({
    name: "forescale_controllers_lead_seconds",
    help: "Lead time: how far ahead of the load pods are requested.",
    labelNames: workload,
    registers,
  });
  const error = new Gauge({
    name: "forescale_forecast_error_ratio",
    help: "Error of the forecast at the lead time, relative to the error of repeating the last season.",
    labelNames: workload,
    registers,
  });
  const coverage = new Gauge({
    name: "forescale_forecast_coverage_ratio",
    help: "Share of the load at or below the quantile that sizes pods.",
    labelNames: workload,
    registers,
  });
  const trusted = new Gauge({
    name: "forescale_forecast_trusted_bool",
    help: "1 while the accuracy gate allows the forecast to decide.",
    labelNames: workload,
    registers,
  });
  const rung = new Gauge({
    name: "forescale_controllers_rung_bool",
    help: "1 for the rung of the decision, which says how fresh its inputs are.",
    labelNames: [...workload, "rung"] as const,
    registers,
  });
  const held = new Gauge({
    name: "forescale_controllers_changes_held_bool",
    help: "1 while stability checkers pause changes or have rolled one back.",
    labelNames: [...workload, "action"] as const,
    registers,
  });
  return {
    observe({ namespace, name: ihpa }, decision) {
      const labels = { namespace, ihpa };
      for (const each of rungs) rung.set({ ...labels, rung: each }, isOn(decision, each));
      const { accuracy, stability } = decision ?? {};
      for (const action of actions)
        if (stability) held.set({ ...labels, action }, Number(stability.action === action));
        else held.remove({ ...labels, action });
      setOrRemove(error, labels, accuracy?.relativeError);
      setOrRemove(coverage, labels, accuracy?.coverage);
      setOrRemove(trusted, labels, accuracy && Number(accuracy.isTrusted));
      if (decision === undefined || decision.total === null) {
        desired.remove(labels);
        return;
      }
      desired.set(labels, decision.total);
      lead.set(labels, decision.lead.seconds);
      // A burst that is over proposes nothing, so its series goes.
      if (!decision.proposals.some(({ provider }) => provider === "Burst"))
        proposed.remove({ ...labels, provider: "Burst" });
      for (const { provider, replicas } of decision.proposals) proposed.set({ ...labels, provider }, replicas);
    },
    forget({ namespace, name: ihpa }) {
      for (const gauge of [desired, lead, rung, proposed, error, coverage, trusted, held] as Gauge<string>[])
        removeAll(gauge, { namespace, ihpa });
    },
    forecastSeconds: new Histogram({
      name: "forescale_controllers_forecast_duration_seconds",
      help: "Time that a portrait's forecasts take, waiting included.",
      labelNames: ["outcome"] as const,
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
    rounds: new Counter({
      name: "forescale_controllers_rounds_total",
      help: "Rounds of reading all live values, by outcome.",
      labelNames: ["outcome"] as const,
      registers,
    }),
    checks: new Counter<"result">({
      name: "forescale_controllers_checks_total",
      help: "Answers of stability checkers: Passed, Failed or Unknown.",
      labelNames: ["result"] as const,
      registers,
    }),
  };
}

function setOrRemove(
  gauge: Gauge<"namespace" | "ihpa">,
  labels: { namespace: string; ihpa: string },
  value: number | undefined,
): void {
  if (value === undefined || Number.isNaN(value)) gauge.remove(labels);
  else gauge.set(labels, value);
}

function isOn(decision: Decision | undefined, rung: Rung): number {
  return decision?.rung === rung ? 1 : 0;
}

/** Removes every series of a workload, whatever its other labels. */
function removeAll(gauge: Gauge<string>, labels: { namespace: string; ihpa: string }): void {
  void gauge.get().then(({ values }) => {
    for (const value of values)
      if (value.labels.namespace === labels.namespace && value.labels.ihpa === labels.ihpa) gauge.remove(value.labels);
  });
}
