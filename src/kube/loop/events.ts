import { LRUCache } from "lru-cache";
import type { KubeClient } from "../client/client.ts";
import { isKubeError } from "../client/kube-error.ts";
import { type KubeObject, resources } from "../client/resource.ts";
import { TokenBucket } from "../client/token-bucket.ts";
import { type Log, silent } from "../log.ts";
import type { KubeMetrics } from "../metrics.ts";
import { microTime } from "../times.ts";
import { type Clock, systemClock, type Timer } from "./clock.ts";

/** Something that people should read in `kubectl describe`. */
export interface Happening {
  /** What it is about: an object as it was read, or whatever names it. */
  readonly regarding: KubeObject;
  readonly type: "Normal" | "Warning";
  /** Why, in one PascalCase word of the vocabulary. */
  readonly reason: string;
  /** What was done or tried, in one PascalCase word, such as `Rescale`. */
  readonly action: string;
  /** A sentence; cut at 1024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** A qualified name, such as `forescale.io/controller`. */
  readonly controller: string;
  /** This process, such as the pod's name. */
  readonly instance: string;
  readonly clock?: Clock;
  /** In [0, 1), for names. */
  readonly random?: () => number;
  readonly metrics?: KubeMetrics;
  readonly log?: Log;
}

// The same again within this time is counted on the first one's Event (the API's series), as client-go does.
const seriesMs = 6 * 60_000;
const countEveryMs = 30_000;
// Different notes for one object and reason: five at once, then two a minute.
const burst = 5;
const perSecond = 1 / 30;
const mostPending = 500;

interface Series {
  readonly namespace: string;
  readonly name: string;
  readonly firstMs: number;
  count: number;
  lastMs: number;
  lastWallMs: number;
  sentMs: number;
  timer: Timer | undefined;
}

/** Writes `events.k8s.io/v1` Events in the background, one at a time; what fails is counted, logged and let go. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #series = new LRUCache<string, Series>({ max: 4096, dispose: (series) => series.timer?.cancel() });
  readonly #buckets = new LRUCache<string, TokenBucket>({ max: 4096 });
  #pending = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silent;
  }

  /** Records what happened; returns at once and never throws. */
  record(happening: Happening): void {
    try {
      this.#record(happening);
    } catch (error) {
      this.#failed(happening.reason, error);
    }
  }

  /** Sends the counts that wait for their time, and resolves when all is written or failed. */
  async flush(): Promise<void> {
    for (const series of this.#series.values())
      if (series.timer) {
        series.timer.cancel();
        this.#count(series);
      }
    await this.#sending;
  }

  #record({ regarding, type, reason, action, note }: Happening): void {
    const { uid, namespace = "", name } = regarding.metadata;
    const about = `${regarding.kind} ${namespace}/${name} ${uid} ${type} ${reason}`;
    const id = `${about} ${action} ${note}`;
    const now = this.#clock.monotonicMs();
    const running = this.#series.get(id);
    if (running && now - running.lastMs < seriesMs) {
      running.count++;
      running.lastMs = now;
      running.lastWallMs = this.#clock.wallMs();
      const waitMs = running.sentMs + countEveryMs - now;
      running.timer ??= this.#clock.setTimer(() => this.#count(running), running.count === 2 ? 0 : waitMs);
      this.#options.metrics?.events.inc({ outcome: "Counted" });
      return;
    }

    let bucket = this.#buckets.get(about);
    if (!bucket) {
      bucket = new TokenBucket(perSecond, burst, this.#clock);
      this.#buckets.set(about, bucket);
    }
    if (!bucket.tryTake()) {
      this.#options.metrics?.events.inc({ outcome: "Limited" });
      return;
    }
    const wallMs = this.#clock.wallMs();
    const random = Math.floor((this.#options.random ?? Math.random)() * 0x100000).toString(16);
    const series: Series = {
      namespace: namespace || "default",
      name: `${name.slice(0, 200)}.${wallMs.toString(16)}${random.padStart(5, "0")}`,
      firstMs: now,
      count: 1,
      lastMs: now,
      lastWallMs: wallMs,
      sentMs: now,
      timer: undefined,
    };
    this.#series.set(id, series);
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: microTime(wallMs),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance,
      type,
      reason,
      action,
      note: cut(note, 1024),
      regarding: { apiVersion: regarding.apiVersion, kind: regarding.kind, namespace, name, uid },
    };
    this.#send(reason, async () => {
      try {
        await this.#options.client.create(resources.events, event);
        this.#options.metrics?.events.inc({ outcome: "Created" });
      } catch (error) {
        // Nothing to count on: the same again is to be written anew.
        if (this.#series.get(id) === series) this.#series.delete(id);
        throw error;
      }
    });
  }

  #count(series: Series): void {
    series.timer = undefined;
    series.sentMs = this.#clock.monotonicMs();
    const body = { series: { count: series.count, lastObservedTime: microTime(series.lastWallMs) } };
    this.#send("series", async () => {
      try {
        await this.#options.client.patch(resources.events, series, "Merge", body);
      } catch (error) {
        // Events live an hour by default; a series older than that starts anew.
        if (!isKubeError(error, "NotFound")) throw error;
        series.lastMs = Number.NEGATIVE_INFINITY;
      }
    });
  }

  #send(reason: string, write: () => Promise<void>): void {
    if (this.#pending >= mostPending) {
      this.#options.metrics?.events.inc({ outcome: "Limited" });
      return;
    }
    this.#pending++;
    this.#sending = this.#sending
      .then(write)
      .catch((error) => this.#failed(reason, error))
      .finally(() => this.#pending--);
  }

  #failed(reason: string, error: unknown): void {
    this.#options.metrics?.events.inc({ outcome: "Failed" });
    const text = error instanceof Error ? error.message : String(error);
    this.#log.warn("an Event could not be written", { reason, error: text });
  }
}

/** At most so many bytes of UTF-8, no character cut in two. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const kept = Buffer.from(text).subarray(0, bytes - 3);
  return `${kept.toString("utf8").replace(/\ufffd+$/, "")}…`;
}
