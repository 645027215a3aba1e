import type { RangeSource } from "../../collect/history.ts";
import type { ManySource } from "../../collect/pods/pod-series.ts";
import { type PodRecord, totalSamples, type Window } from "../../collect/pods/pod-windows.ts";
import type { Samples } from "../../collect/samples.ts";

/** A source that returns the workload's total for a query that gives one series per pod. */
export function totalling(
  client: ManySource & { readonly name: string },
  pods: readonly PodRecord[],
  lookbackMs: number,
): RangeSource {
  const byName = Map.groupBy(pods, ({ name }) => name);
  return {
    name: client.name,
    async rangeOfOne(query, range) {
      const found = await client.range(query, range, { expectedSeries: Math.max(1, pods.length) });
      return totalSamples(
        found.map((samples) => ({
          samples,
          windows: servedWindows(byName.get(samples.labels.get("pod") ?? "") ?? [], samples, lookbackMs),
        })),
        lookbackMs,
      );
    },
  };
}

/**
 * When the pods of one name served. Where no record says so, a pod served while it had samples: otherwise a history without
 * kube-state-metrics would begin when the controller first saw the pods.
 *
 * @param records of pods of one name, which follow each other as those of a StatefulSet do
 * @param samples of that name, at least one
 * @param lookbackMs how far back a sample looks
 */
export function servedWindows(records: readonly PodRecord[], { timesMs }: Samples, lookbackMs: number): Window[] {
  const inOrder = records.toSorted((a, b) => a.createdMs - b.createdMs);
  const knownMs = inOrder[0]?.createdMs ?? Infinity;
  const windows: Window[] = [];
  if (timesMs[0] < knownMs)
    windows.push({ fromMs: timesMs[0] - lookbackMs, toMs: Math.min(timesMs[timesMs.length - 1], knownMs) });
  for (const { createdMs, startupSeconds, ready } of inOrder) {
    // Without a record of its start, the pod may have served earlier than the record says.
    if (startupSeconds === undefined && ready.length > 0) windows.push({ fromMs: createdMs, toMs: ready[0].fromMs });
    windows.push(...ready);
  }
  return windows;
}
