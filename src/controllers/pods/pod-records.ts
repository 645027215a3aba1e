import { type PodObject, type PodRecord, podGone, podSeen } from "../../collect/pods/pod-windows.ts";
import type { Pod } from "./workload-pods.ts";

/** Records of pods that are gone are kept this long: their serving times say which newly read samples are load. */
const goneKeptMs = 24 * 3_600_000;

/** Records of a workload's pods, kept between ticks: when each of them served, and how long it took to start. */
export class PodRecords {
  #records = new Map<string, PodRecord>();
  #selector = "";
  /** Start-up times that no decision has used yet. */
  #starts: number[] = [];
  /** Pods whose start-up time has been reported. */
  readonly #reported = new Set<string>();

  get records(): readonly PodRecord[] {
    return [...this.#records.values()];
  }

  /** The scale's selector that found the pods last. */
  get selector(): string {
    return this.#selector;
  }

  /** Seconds from creation to Ready of the pods that became ready since the last call. */
  takeStarts(): number[] {
    const starts = this.#starts;
    this.#starts = [];
    return starts;
  }

  /** Adds records of the pods from elsewhere: the store, or kube-state-metrics. Our own records take precedence. */
  recall(records: readonly PodRecord[], nowMs: number): void {
    for (const record of records.toSorted((a, b) => a.createdMs - b.createdMs)) {
      this.#reportStart(record);
      if (record.endedMs !== undefined && nowMs - record.endedMs > goneKeptMs) continue;
      const own = this.#records.get(record.uid);
      this.#records.set(record.uid, own === undefined ? record : extended(own, record));
    }
  }

  /**
   * Observes the pods as they are now.
   *
   * @param selector the scale's selector that found them
   * @returns the records that are new or changed, to be stored
   */
  observe(pods: readonly Pod[], selector: string, nowMs: number): PodRecord[] {
    this.#selector = selector;
    const changed: PodRecord[] = [];
    const put = (uid: string, record: PodRecord) => {
      if (this.#records.get(uid) === record) return;
      this.#records.set(uid, record);
      changed.push(record);
    };
    const present = new Set<string>();
    for (const pod of pods) {
      const uid = pod.metadata.uid!;
      present.add(uid);
      put(uid, podSeen(this.#records.get(uid), pod as PodObject, nowMs));
      this.#reportStart(this.#records.get(uid)!);
    }
    for (const [uid, record] of this.#records) {
      if (present.has(uid)) continue;
      if (record.endedMs === undefined) put(uid, podGone(record, nowMs));
      else if (nowMs - record.endedMs > goneKeptMs) {
        this.#records.delete(uid);
        this.#reported.delete(uid);
      }
    }
    return changed;
  }

  #reportStart({ uid, startupSeconds }: PodRecord): void {
    if (startupSeconds === undefined || this.#reported.has(uid)) return;
    this.#reported.add(uid);
    this.#starts.push(startupSeconds);
  }
}

/** Our own record, extended by what another one knows from before we first saw the pod. */
function extended(own: PodRecord, other: PodRecord): PodRecord {
  const beginsMs = own.ready[0]?.fromMs ?? Number.POSITIVE_INFINITY;
  const before = other.ready
    .filter(({ fromMs }) => fromMs < beginsMs)
    .map(({ fromMs, toMs }) => ({ fromMs, toMs: Math.min(toMs, beginsMs) }))
    .filter(({ toMs }) => toMs !== Number.POSITIVE_INFINITY);
  return {
    ...own,
    ready: [...before, ...own.ready],
    startupSeconds: own.startupSeconds ?? other.startupSeconds,
    scheduledMs: own.scheduledMs ?? other.scheduledMs,
  };
}
