import { jointLoad } from "../fields/capacity.ts";
import { type MetricSpec, metricName } from "../fields/metrics.ts";
import type { TimeWindow } from "../fields/windows.ts";
import type { HorizontalPortrait } from "../kinds/horizontal-portrait.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  PortraitProvider,
} from "../kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { MetricSource } from "../kinds/metric-source.ts";
import type { ReplicaProfile } from "../kinds/replica-profile.ts";
import { ihpaLabel } from "../labels.ts";
import { cronFault, isLocalTime, isTimeZone } from "../values/cron.ts";
import { fieldPath, type Problem } from "./problem.ts";

export type AnyObject = IntelligentHorizontalPodAutoscaler | HorizontalPortrait | ReplicaProfile | MetricSource;

/**
 * What the schema's own rules cannot know: time zones, cron expressions that never fire, dates that do not exist,
 * derived names that clash. Manifest reading, admission and the controllers all ask here.
 *
 * @param object with defaults filled in, and good by its schema
 * @returns nothing when all is well
 */
export function validate(object: AnyObject): Problem[] {
  switch (object.kind) {
    case "IntelligentHorizontalPodAutoscaler":
      return [...autoscalerProblems(object)];
    case "HorizontalPortrait":
      return [
        ...zoneProblems(object.spec.prediction.timeZone, "spec.prediction.timeZone"),
        ...nameProblems(object.spec.metrics, "spec.metrics"),
      ];
    case "ReplicaProfile":
    case "MetricSource":
      return [];
  }
}

/**
 * The autoscaler that has a target before another one: the older, and of equal age the first by name.
 *
 * @param others every autoscaler there is, `mine` included or not
 * @returns undefined when the target is this one's
 */
export function rivalOf(
  mine: IntelligentHorizontalPodAutoscaler,
  others: Iterable<IntelligentHorizontalPodAutoscaler>,
): IntelligentHorizontalPodAutoscaler | undefined {
  return rivalBy(seniority, mine, others);
}

/**
 * The profile that speaks for a target before another one: one that an autoscaler owns, then the older, then the first by name.
 *
 * @param others every profile there is, `mine` included or not
 * @returns undefined when the target is this one's
 */
export function rivalProfileOf(mine: ReplicaProfile, others: Iterable<ReplicaProfile>): ReplicaProfile | undefined {
  const rank = (each: ReplicaProfile) =>
    `${each.metadata.labels?.[ihpaLabel] === undefined ? 1 : 0} ${seniority(each)}`;
  const alive = [...others].filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  return rivalBy(rank, mine, alive);
}

/** What acts on a scale target. */
type Actor = IntelligentHorizontalPodAutoscaler | ReplicaProfile;

/** One of the namespace that means the same target and comes first by its rank. */
function rivalBy<T extends Actor>(rank: (each: T) => string, mine: T, others: Iterable<T>): T | undefined {
  for (const other of others) {
    const isOther = other.metadata.name !== mine.metadata.name && other.metadata.namespace === mine.metadata.namespace;
    if (isOther && targetKey(other) === targetKey(mine) && rank(other) < rank(mine)) return other;
  }
  return undefined;
}

/** Kind and group decide, as versions are only ways to write the same object. */
function targetKey({ spec: { scaleTargetRef } }: Actor): string {
  const { apiVersion = "apps/v1", kind, name } = scaleTargetRef;
  return `${apiVersion.includes("/") ? apiVersion.split("/")[0] : ""}/${kind}/${name}`;
}

/** Sorts the older first; one that is not stored yet comes last. */
function seniority({ metadata }: Actor): string {
  return `${metadata.creationTimestamp ?? "9999"} ${metadata.name}`;
}

function* autoscalerProblems({ spec }: IntelligentHorizontalPodAutoscaler): Generator<Problem> {
  yield* zoneProblems(spec.prediction.timeZone, "spec.prediction.timeZone");
  yield* nameProblems(spec.metrics, "spec.metrics");
  yield* capacityProblems(spec);
  yield* windowProblems(spec.bounds, "spec.bounds");
  yield* windowProblems(spec.standby?.schedule, "spec.standby.schedule");
  for (const [index, provider] of spec.portraitProviders.entries())
    yield* providerProblems(provider, fieldPath("spec.portraitProviders", index));
}

function* providerProblems(provider: PortraitProvider, path: string): Generator<Problem> {
  yield* windowProblems(provider.cron?.crons, `${path}.cron.crons`);
  yield* nameProblems(provider.dynamic?.metrics, `${path}.dynamic.metrics`);
}

function* nameProblems(metrics: readonly MetricSpec[] | undefined, path: string): Generator<Problem> {
  const seen = new Set<string>();
  for (const [index, metric] of (metrics ?? []).entries()) {
    const name = metricName(metric);
    if (seen.has(name))
      yield {
        field: fieldPath(path, index),
        message: `a second metric is called "${name}"; give this one a name of its own`,
      };
    seen.add(name);
  }
}

function* capacityProblems({ capacity, metrics }: IntelligentHorizontalPodAutoscaler["spec"]): Generator<Problem> {
  if (capacity === undefined) return;
  const names = (metrics ?? []).map(metricName);
  for (const [index, load] of capacity.loads.entries())
    if (!names.includes(load))
      yield {
        field: fieldPath("spec.capacity.loads", index),
        message: `spec.metrics has no metric called "${load}"; ${names.length > 0 ? `name one of ${names.join(", ")}` : "add it there"}`,
      };
  if (capacity.loads.length > 1 && names.includes(jointLoad))
    yield {
      field: "spec.metrics",
      message: `"${jointLoad}" is what several loads together are called; give the metric another name`,
    };
}

function* windowProblems(windows: readonly TimeWindow[] | undefined, path: string): Generator<Problem> {
  for (const [index, window] of (windows ?? []).entries()) {
    const at = fieldPath(path, index);
    const zone = [...zoneProblems(window.timeZone, `${at}.timeZone`)];
    yield* zone;
    if (zone.length > 0) continue; // without a zone no cron can be read
    for (const key of ["start", "end"] as const) yield* cronProblems(window[key], window.timeZone, `${at}.${key}`);
    if (window.start !== undefined && window.start.trim() === window.end?.trim())
      yield { field: `${at}.end`, message: `"${window.end}" is also the start, so the window never opens; move one` };
    yield* dateProblems(window, at);
    for (const [day, text] of (window.excludeDates ?? []).entries())
      yield* excludedProblems(text, window.timeZone, fieldPath(`${at}.excludeDates`, day));
  }
}

function* zoneProblems(timeZone: string, field: string): Generator<Problem> {
  if (!isTimeZone(timeZone))
    yield {
      field,
      message: `there is no time zone "${timeZone}"; give a name of the IANA database such as Europe/Berlin`,
    };
}

function* cronProblems(expression: string | undefined, timeZone: string, field: string): Generator<Problem> {
  if (expression === undefined) return;
  const fault = cronFault(expression, timeZone);
  if (fault?.kind === "Malformed")
    yield {
      field,
      message: `"${expression}" is no cron expression (${fault.why}); give minute, hour, day of month, month and day of week`,
    };
  if (fault?.kind === "NeverRuns")
    yield { field, message: `"${expression}" never comes, as no such day exists; give one that does` };
}

function* dateProblems({ from, until }: TimeWindow, path: string): Generator<Problem> {
  for (const [key, text] of Object.entries({ from, until }))
    if (text !== undefined && !isLocalTime(text))
      yield {
        field: `${path}.${key}`,
        message: `"${text}" is no day or time that exists; give one such as 2026-11-11T08:00`,
      };
  // A date alone in `until` includes its day, so the same date may stand in both.
  if (from !== undefined && until !== undefined && (until.length === 10 ? from.slice(0, 10) > until : from >= until))
    yield { field: `${path}.until`, message: `"${until}" is not after from ("${from}"); give a later one` };
}

function* excludedProblems(text: string, timeZone: string, field: string): Generator<Problem> {
  if (text.startsWith("*")) yield* cronProblems(text, timeZone, field);
  // A yearly day is tried in a leap year.
  else if (!isLocalTime(text.length === 5 ? `2000-${text}` : text))
    yield { field, message: `there is no day "${text}"; give one such as 2026-12-25, or 12-25 for every year` };
}
