import type { Range } from "../http/chunks.ts";
import type { LabelledSamples } from "../samples.ts";
import type { PodRecord, Window } from "./pod-windows.ts";

/** What pods' records are read from; a PrometheusClient is one. */
export interface ManySource {
  range(
    query: string,
    range: Range,
    options?: { expectedSeries?: number; signal?: AbortSignal },
  ): Promise<LabelledSamples[]>;
}

/** Which pods: those of a namespace whose names match. */
export interface PodSelection {
  readonly namespace: string;
  /** A regular expression (RE2) that the pods' whole names match, such as `web-[0-9]+` for a StatefulSet. */
  readonly namePattern: string;
  /** Label that holds the namespace; `namespace` where absent. */
  readonly namespaceLabel?: string;
  /** For the size of the first requests. */
  readonly expectedPods?: number;
  readonly signal?: AbortSignal;
}

/**
 * Records of pods from kube-state-metrics' series, over a range; empty where the store has none of them. A pod is Ready
 * from the first sample that says so (or `kube_pod_status_ready_time`, to the second, where it is there) to the last.
 * Its start-up is known where its creation lies in the range.
 */
export async function podRecordsFromSeries(
  source: ManySource,
  selection: PodSelection,
  range: Range,
): Promise<PodRecord[]> {
  const label = selection.namespaceLabel ?? "namespace";
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) throw new TypeError(`${JSON.stringify(label)} is no label name`);
  const pods = `${label}=${JSON.stringify(selection.namespace)},pod=~${JSON.stringify(selection.namePattern)}`;
  const options = { expectedSeries: selection.expectedPods, signal: selection.signal };
  // Names come again with StatefulSets, so the pod's uid tells them apart.
  const ask = (query: string) => source.range(`max by (pod,uid) (${query})`, range, options);
  const ready = await ask(`kube_pod_status_ready{condition="true",${pods}}`);
  if (ready.length === 0) return [];
  const running = byPod(await ask(`kube_pod_status_phase{phase="Running",${pods}}`));
  const created = byPod(await ask(`kube_pod_created{${pods}}`));
  const readyTime = byPod(await ask(`kube_pod_status_ready_time{${pods}}`));
  return ready.map((samples) => {
    const id = idOf(samples);
    const createdMs = lastOf(created.get(id)) * 1000;
    const windows = windowsOf(samples, running.get(id), range);
    const firstKnown = samples.timesMs.find((_, i) => !Number.isNaN(samples.values[i])) ?? NaN;
    const exact = firstOf(readyTime.get(id)) * 1000;
    const first = windows[0]?.fromMs ?? NaN;
    const readyMs = Math.abs(exact - first) <= 2 * range.stepMs ? exact : first;
    // A pod that is Ready in its very first sample may have been so for long.
    const seen = createdMs >= range.startMs - range.stepMs || first > firstKnown;
    const startup = (readyMs - createdMs) / 1000;
    const ends = samples.timesMs[samples.timesMs.length - 1] + range.stepMs;
    return {
      uid: samples.labels.get("uid") ?? "",
      namespace: selection.namespace,
      name: samples.labels.get("pod") ?? "",
      createdMs: Number.isNaN(createdMs) ? firstKnown : createdMs,
      scheduledMs: undefined,
      ready: windows,
      startupSeconds: seen && startup >= 0 ? startup : undefined,
      endedMs: ends <= range.endMs ? ends : undefined,
    };
  });
}

/**
 * When a 0/1 series was surely 1 (and `running` not 0): from the first sample that says so to the last in a row, or open
 * where that reaches the end of the range. A hole of up to two steps is a missed scrape, a longer one ends the window.
 */
export function windowsOf(ready: LabelledSamples, running: LabelledSamples | undefined, range: Range): Window[] {
  const notRunning = new Set(running ? Array.from(running.timesMs).filter((_, i) => running.values[i] === 0) : []);
  const windows: { fromMs: number; toMs: number }[] = [];
  let open: { fromMs: number; toMs: number } | undefined;
  for (let i = 0; i < ready.timesMs.length; i++) {
    const timeMs = ready.timesMs[i];
    if (Number.isNaN(ready.values[i])) continue;
    if (ready.values[i] !== 1 || notRunning.has(timeMs)) {
      open = undefined;
      continue;
    }
    if (open === undefined || timeMs - open.toMs > 3 * range.stepMs) {
      open = { fromMs: timeMs, toMs: timeMs };
      windows.push(open);
    }
    open.toMs = timeMs;
  }
  if (open && open.toMs > range.endMs - range.stepMs) open.toMs = Infinity;
  return windows;
}

function idOf({ labels }: LabelledSamples): string {
  return `${labels.get("pod")}\0${labels.get("uid") ?? ""}`;
}

function byPod(series: readonly LabelledSamples[]): Map<string, LabelledSamples> {
  return new Map(series.map((each) => [idOf(each), each]));
}

function firstOf(samples: LabelledSamples | undefined): number {
  return samples?.values.find((value) => !Number.isNaN(value)) ?? NaN;
}

function lastOf(samples: LabelledSamples | undefined): number {
  return samples?.values.findLast((value) => !Number.isNaN(value)) ?? NaN;
}
