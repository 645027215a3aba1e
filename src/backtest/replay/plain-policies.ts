import { createHpa, type HpaSpec } from "../../hpa/hpa.ts";
import type { MetricReading } from "../../hpa/metric-replicas.ts";
import { calendarOf } from "../../series/calendar.ts";
import { tickMs } from "../workload.ts";
import { type Policy, type Run, runPolicy, scoreSizes } from "./cluster.ts";
import { learntPart, type ReplayInputs } from "./replay-inputs.ts";
import { type Tuned, tuneTarget } from "./tune-target.ts";

/** What most people set. */
export const usualTarget = 0.7;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A schedule's pods are asked for ahead of its hours by the start-up time and this much for the HPA's round. */
const scheduleAheadMs = 60_000;

/**
 * An HPA with Kubernetes' own arithmetic and all its defaults, on the workload's metrics.
 *
 * @param target load that it aims at, as a share of what a pod carries
 * @param schedule pods that a cron schedule asks for at each tick, as one more metric; the HPA takes the largest
 */
export function plainHpa(inputs: ReplayInputs, target: number, schedule?: ArrayLike<number>): Policy {
  const external = (name: string, averageValue: number): HpaSpec["metrics"][number] => ({
    type: "External",
    name,
    target: { type: "AverageValue", averageValue },
  });
  const hpa = createHpa({
    ...inputs.limits,
    metrics: [
      ...inputs.metrics.map(({ name }) => external(name, target)),
      ...(schedule === undefined ? [] : [external("schedule", 1)]),
    ],
  });
  return ({ tick, syncMs, online, starting }) => {
    const readings = inputs.metrics.map(({ atSync }) => reading(atSync[tick]));
    if (schedule !== undefined) readings.push(reading(schedule[tick]));
    const total = online + starting;
    return hpa.step(syncMs, readings, { spec: total, status: total, ready: online }).replicas;
  };
}

function reading(value: number): MetricReading {
  return Number.isNaN(value)
    ? { kind: "Missing", why: "the history has no value here" }
    : { kind: "Values", values: [value] };
}

/**
 * A schedule as a person would draw it from the past: the mean demand of each hour of the day over the last week, local
 * time, begun early enough for pods to start.
 *
 * @returns pods at each tick at full use; divide by a target for headroom
 */
export function hourlySchedule(inputs: ReplayInputs, timeZone: string): Float64Array {
  const sums = new Float64Array(24);
  const counts = new Float64Array(24);
  const { span, ticks } = inputs;
  const localHour = (startMs: number, stepMs: number, count: number) => {
    const { offsetSteps } = calendarOf(startMs, stepMs, count, timeZone);
    return (i: number) => {
      const localMs = startMs + (i + offsetSteps[i]) * stepMs;
      return Math.floor((((localMs % dayMs) + dayMs) % dayMs) / hourMs);
    };
  };
  const profiles = inputs.demands.map(({ load, pods }) => {
    const { startMs, stepMs, values } = learntPart(load, span);
    const hourOf = localHour(startMs, stepMs, values.length);
    sums.fill(0);
    counts.fill(0);
    for (let i = Math.max(0, values.length - Math.round((7 * dayMs) / stepMs)); i < values.length; i++) {
      if (!Number.isFinite(values[i])) continue;
      sums[hourOf(i)] += pods(values[i]);
      counts[hourOf(i)]++;
    }
    return sums.map((sum, hour) => (counts[hour] > 0 ? sum / counts[hour] : 0));
  });
  const ahead = Math.ceil((inputs.startupMs + scheduleAheadMs) / tickMs);
  const hourOf = localHour(span.replayFromMs, tickMs, ticks + ahead);
  return Float64Array.from({ length: ticks }, (_, tick) =>
    Math.max(...profiles.flatMap((profile) => [profile[hourOf(tick)], profile[hourOf(tick + ahead)]])),
  );
}

/** The highest demand of the past, all the time. */
export function fixedAtPeak(inputs: ReplayInputs): Run {
  let peak = 1;
  for (const { load, pods } of inputs.demands) {
    const most = learntPart(load, inputs.span).values.reduce((a, b) => (b > a ? b : a), Number.NEGATIVE_INFINITY);
    if (pods(most) > peak) peak = pods(most);
  }
  const { minReplicas, maxReplicas } = inputs.limits;
  const pods = Math.min(maxReplicas, Math.max(minReplicas, Math.ceil(peak - 1e-9)));
  return scoreSizes(inputs, () => pods);
}

/** The HPA at every target that tells. */
export function tuneHpa(inputs: ReplayInputs, minutes: number): Tuned {
  return tuneTarget((target) => runPolicy(inputs, plainHpa(inputs, target)), minutes);
}

/** The same with the past's schedule beside its metrics. */
export function tuneSchedule(inputs: ReplayInputs, timeZone: string, minutes: number): Tuned {
  const full = hourlySchedule(inputs, timeZone);
  return tuneTarget((target) => {
    const schedule = full.map((pods) => pods / target);
    return runPolicy(inputs, plainHpa(inputs, target, schedule));
  }, minutes);
}
