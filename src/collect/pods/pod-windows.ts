import { onlineGate } from "../../api/labels.ts";
import type { Samples } from "../samples.ts";

/** `[fromMs, toMs)`, milliseconds since the Unix epoch; `toMs` is Infinity while it lasts. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What is remembered of a pod: when it served, and how long it took to begin. */
export interface PodRecord {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly createdMs: number;
  readonly scheduledMs: number | undefined;
  /** When it was Ready, oldest first, not overlapping. */
  readonly ready: readonly Window[];
  /** Created to first Ready, where that was observed or can be derived with certainty. */
  readonly startupSeconds: number | undefined;
  /** When it was gone or had ended. */
  readonly endedMs: number | undefined;
}

/** What is read of a pod object; a pod of the API has it. */
export interface PodObject {
  readonly metadata: {
    readonly uid: string;
    readonly namespace: string;
    readonly name: string;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
  };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime?: string | null;
    }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly state?: { readonly running?: { readonly startedAt?: string | null } };
    }[];
  };
}

/** A pod that turns Ready more than this after its last container began may have been Ready before. */
const longestWarmUpMs = 600_000;
/** The same where pods are taken out of rotation and frozen: a later return to Ready is no start. */
const longestGatedWarmUpMs = 60_000;
/** Windows kept of one pod: one that flaps all day tells no more than its newest ones. */
const mostWindows = 64;

/**
 * What is known of a pod after it was seen as `pod` at `nowMs`; `before` is what was known, undefined at first sight.
 * Gives `before` itself where nothing changed, so that it need not be written again.
 */
export function podSeen(before: PodRecord | undefined, pod: PodObject, nowMs: number): PodRecord {
  const { uid, namespace, name } = pod.metadata;
  const createdMs = timeOf(pod.metadata.creationTimestamp) ?? nowMs;
  const scheduled = condition(pod, "PodScheduled");
  const scheduledMs =
    scheduled?.status === "True" ? (timeOf(scheduled.lastTransitionTime) ?? nowMs) : before?.scheduledMs;
  const ready = condition(pod, "Ready");
  const sinceMs = Math.min(Math.max(timeOf(ready?.lastTransitionTime) ?? nowMs, createdMs), Math.max(nowMs, createdMs));
  const ended = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
  const isReady = ready?.status === "True" && !ended;

  const windows = isReady ? opened(before?.ready ?? [], sinceMs) : closed(before?.ready ?? [], ready ? sinceMs : nowMs);
  const startupSeconds =
    before?.startupSeconds ??
    (isReady && (before?.ready.length ?? 0) === 0 && (before !== undefined || surelyFirst(pod, sinceMs))
      ? (sinceMs - createdMs) / 1000
      : undefined);
  const endedMs = before?.endedMs ?? (ended ? nowMs : undefined);
  const after: PodRecord = { uid, namespace, name, createdMs, scheduledMs, ready: windows, startupSeconds, endedMs };
  return before && sameRecord(before, after) ? before : after;
}

/** What is known of a pod that is gone since `nowMs`. */
export function podGone(before: PodRecord, nowMs: number): PodRecord {
  return { ...before, ready: closed(before.ready, nowMs), endedMs: before.endedMs ?? nowMs };
}

/** The share of `[fromMs, toMs]` in which the pod was Ready, from 0 to 1; of an instant, whether it was. */
export function servedShare(windows: readonly Window[], fromMs: number, toMs: number): number {
  if (fromMs === toMs) return windows.some((window) => window.fromMs <= fromMs && window.toMs >= toMs) ? 1 : 0;
  let served = 0;
  for (const window of windows) served += Math.max(0, Math.min(window.toMs, toMs) - Math.max(window.fromMs, fromMs));
  return Math.min(1, served / (toMs - fromMs));
}

/** A pod's value over what it looks back on, NaN where there is none, and the share of that time in which it served. */
export interface ServedValue {
  readonly value: number;
  readonly share: number;
}

/**
 * A workload's total over its pods. Values count of pods that served all the time; of the others they hold start-up work
 * too, so these count as the mean of the first, for the time that they served: the load is shared among who serves. A pod that
 * served and has no value counts as that mean as well, as long as at least half of them have one; below that, and where
 * no pod served, the total is missing (NaN), never zero.
 */
export function totalOfServing(pods: Iterable<ServedValue>): number {
  let [sum, known, whole, part] = [0, 0, 0, 0];
  for (const { value, share } of pods) {
    if (share < 1) {
      part += share;
      continue;
    }
    whole++;
    if (Number.isNaN(value)) continue;
    known++;
    sum += value;
  }
  return known > 0 && known * 2 >= whole ? (sum / known) * (whole + part) : NaN;
}

/** One pod's samples and when it served. */
export interface PodSamples {
  readonly samples: Samples;
  readonly windows: readonly Window[];
}

/**
 * The workload's total at each instant that any of the pods has a sample of, as `totalOfServing` counts it; a sample speaks
 * about the `lookbackMs` before its stamp (a rate's window). A pod that is gone serves no longer than its samples say.
 */
export function totalSamples(pods: readonly PodSamples[], lookbackMs: number): Samples {
  const timesMs = Float64Array.from(new Set(pods.flatMap(({ samples }) => [...samples.timesMs]))).sort();
  const byTime = pods.map(
    ({ samples }) => new Map(samples.timesMs.entries().map(([i, time]) => [time, samples.values[i]])),
  );
  const windows = pods.map(({ samples, windows }) => {
    const lastMs = samples.timesMs.at(-1) ?? -Infinity;
    return windows.map(({ fromMs, toMs }) => ({ fromMs, toMs: toMs === Infinity ? toMs : Math.min(toMs, lastMs) }));
  });
  const values = timesMs.map((timeMs) =>
    totalOfServing(
      pods.map((_, i) => ({
        value: byTime[i].get(timeMs) ?? NaN,
        share: servedShare(windows[i], timeMs - lookbackMs, timeMs),
      })),
    ),
  );
  return { timesMs, values };
}

/** Start-ups of pods created in `[fromMs, toMs)`, in seconds, in the order of their creation. */
export function startupSeconds(records: Iterable<PodRecord>, fromMs: number, toMs = Infinity): number[] {
  return [...records]
    .filter(({ createdMs, startupSeconds }) => startupSeconds !== undefined && createdMs >= fromMs && createdMs < toMs)
    .sort((a, b) => a.createdMs - b.createdMs)
    .map((record) => record.startupSeconds!);
}

/** True where a pod seen Ready for the first time has surely not been Ready before: its containers never restarted and began just before. */
function surelyFirst(pod: PodObject, readyMs: number): boolean {
  const containers = pod.status?.containerStatuses ?? [];
  const starts = containers.map(({ state }) => timeOf(state?.running?.startedAt) ?? NaN);
  const longestMs = condition(pod, onlineGate) === undefined ? longestWarmUpMs : longestGatedWarmUpMs;
  return (
    containers.length > 0 &&
    containers.every(({ restartCount }) => restartCount === 0) &&
    readyMs - Math.max(...starts) <= longestMs // false for NaN
  );
}

function opened(windows: readonly Window[], fromMs: number): readonly Window[] {
  const last = windows.at(-1);
  if (last && last.toMs === Infinity) {
    // A later transition while it looked Ready: it was not Ready in between, for a time that was not observed.
    if (fromMs <= last.fromMs) return windows;
    return [...windows.slice(0, -1), { fromMs: last.fromMs, toMs: fromMs }, { fromMs, toMs: Infinity }].slice(
      -mostWindows,
    );
  }
  return [...windows, { fromMs: Math.max(fromMs, last?.toMs ?? fromMs), toMs: Infinity }].slice(-mostWindows);
}

function closed(windows: readonly Window[], atMs: number): readonly Window[] {
  const last = windows.at(-1);
  if (!last || last.toMs !== Infinity) return windows;
  const toMs = Math.max(atMs, last.fromMs);
  return toMs === last.fromMs ? windows.slice(0, -1) : [...windows.slice(0, -1), { fromMs: last.fromMs, toMs }];
}

function condition(pod: PodObject, type: string) {
  return pod.status?.conditions?.find((each) => each.type === type);
}

function timeOf(text: string | null | undefined): number | undefined {
  const ms = text ? Date.parse(text) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

function sameRecord(a: PodRecord, b: PodRecord): boolean {
  return (
    a.uid === b.uid &&
    a.scheduledMs === b.scheduledMs &&
    a.startupSeconds === b.startupSeconds &&
    a.endedMs === b.endedMs &&
    a.ready.length === b.ready.length &&
    a.ready.every(({ fromMs, toMs }, i) => fromMs === b.ready[i].fromMs && toMs === b.ready[i].toMs)
  );
}
