import type { KubeClient, Selection } from "../client/client.ts";
import { isKubeError, KubeError } from "../client/kube-error.ts";
import { describe, formatKey, type KubeObject, keyOf, type Resource } from "../client/resource.ts";
import { type Log, silent } from "../log.ts";
import { Backoff } from "../loop/backoff.ts";
import { type Clock, sleep, systemClock, type Timer } from "../loop/clock.ts";
import type { KubeMetrics } from "../metrics.ts";
import { Cache, type CacheOptions, type Change } from "./cache.ts";
import type { WatchEvent } from "./watch-stream.ts";

export interface ReflectorOptions<T extends KubeObject> extends Selection, CacheOptions<T> {
  readonly client: KubeClient;
  readonly resource: Resource;
  /** What to keep of an object, to save memory; `managedFields` never is. */
  readonly transform?: (object: T) => T;
  /** Every so often each object is handed out again as `Updated`; default 10 minutes, 0 for never. */
  readonly resyncMs?: number;
  readonly clock?: Clock;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  readonly metrics?: KubeMetrics;
  readonly log?: Log;
}

/** Hears of each change after the cache has it. An exception, or a rejected promise, is logged and changes nothing. */
export type Listener<T> = (change: Change<T>) => unknown;

// A watch lives 40 to 50 s by its own request and is then renewed without a list, so a half-open connection shows
// as one that the server did not end in time: found at 55 s at the latest, whatever its traffic.
const shortestWatchSeconds = 40;
const longestWatchSeconds = 50;
const graceMs = 5_000;
const firstBackoffMs = 800;
const longestBackoffMs = 30_000;
// A watch that lived this long shows that the server is well again.
const healthyWatchMs = 10_000;

/**
 * Keeps a cache equal to what the API server holds: a list by pages, then a watch with bookmarks; a list again after
 * any failure, with backoff. Deletions that happened between are handed out as well.
 *
 * `start` once; everything ends with its signal.
 */
export class Reflector<T extends KubeObject> {
  readonly cache: Cache<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #name: string;
  readonly #listeners: Listener<T>[] = [];
  readonly #waiting: (() => void)[] = [];
  #synced = false;
  #contactMs = Number.NEGATIVE_INFINITY;
  #lastError: unknown;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#log = options.log ?? silent;
    this.#name = describe(options.resource);
    const onFault = (object: T, error: unknown) => this.#complain("an index of the cache failed", object, error);
    this.cache = new Cache<T>({ onFault, ...options });
  }

  /** True from when the first list is in the cache and its listeners have heard of it. */
  get hasSynced(): boolean {
    return this.#synced;
  }

  /** Milliseconds since the API server last said anything; Infinity before the first list. */
  get ageMs(): number {
    return this.#clock.monotonicMs() - this.#contactMs;
  }

  /** Why the last attempt failed; `undefined` while all is well. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Adds a listener. One added late hears of what the cache already holds as `Added`, at once. */
  onChange(listener: Listener<T>): void {
    this.#listeners.push(listener);
    for (const object of this.cache.list()) this.#tell([listener], { type: "Added", object });
  }

  /** Resolves at the first sync. @throws the signal's reason when aborted before */
  waitForSync(signal?: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
    });
  }

  /** Runs until the signal is aborted, then resolves; never rejects. */
  async start(signal: AbortSignal): Promise<void> {
    const resync = this.#startResync();
    const backoff = new Backoff(firstBackoffMs, longestBackoffMs, this.#random);
    let cause = "Start";
    try {
      while (!signal.aborted) {
        try {
          const resourceVersion = await this.#relist(cause, signal);
          await this.#watchFrom(resourceVersion, signal, backoff);
        } catch (error) {
          if (signal.aborted) return;
          this.#lastError = error;
          cause = isKubeError(error) ? error.code : "Error";
          // History that the server no longer keeps is no sign of trouble: list again at once, the first time.
          const backoffMs = backoff.nextMs();
          const waitMs = cause === "Gone" && backoff.failures === 1 ? 0 : backoffMs;
          const fields = { resource: this.#name, cause, error: messageOf(error), waitMs };
          this.#log[cause === "Gone" ? "info" : "warn"]("cache lists again", fields);
          await sleep(this.#clock, waitMs, signal).catch(() => {});
        }
      }
    } finally {
      resync.cancel();
    }
  }

  async #relist(cause: string, signal: AbortSignal): Promise<string> {
    const { client, resource } = this.#options;
    this.#options.metrics?.lists.inc({ resource: this.#name, cause });
    const objects = new Map<string, T>();
    let resourceVersion = "";
    // Page by page through the transform, so that the whole answer is never held at once.
    for await (const page of client.pages<T>(resource, this.#options, { signal, timeoutMs: 60_000 })) {
      for (const item of page.items) objects.set(formatKey(keyOf(item)), this.#slim(item));
      resourceVersion = page.resourceVersion;
    }
    this.#heard();
    for (const change of this.cache.replace(objects.values())) this.#tell(this.#listeners, change);
    this.#options.metrics?.cacheObjects.set({ resource: this.#name }, this.cache.size);
    this.#lastError = undefined;
    if (!this.#synced) {
      this.#synced = true;
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
    return resourceVersion;
  }

  /** Watches, and watches again from where the last one ended in order. @throws on any failure */
  async #watchFrom(listed: string, signal: AbortSignal, backoff: Backoff): Promise<never> {
    const { client, resource } = this.#options;
    let resourceVersion = listed;
    for (;;) {
      const spanSeconds = longestWatchSeconds - shortestWatchSeconds;
      const timeoutSeconds = Math.round(shortestWatchSeconds + spanSeconds * this.#random());
      const halfOpen = new AbortController();
      const stop = () => halfOpen.abort(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      const watchdog = this.#clock.setTimer(
        () => {
          const text = `watch ${this.#name}: the server did not end it in time, so the connection is taken for dead`;
          halfOpen.abort(new KubeError("Timeout", text, { object: this.#name }));
        },
        timeoutSeconds * 1000 + graceMs,
      );
      const startMs = this.#clock.monotonicMs();
      try {
        await client.watch(
          resource,
          { ...this.#options, resourceVersion, timeoutSeconds },
          (event) => {
            this.#heard();
            resourceVersion = (event.object as KubeObject).metadata.resourceVersion ?? resourceVersion;
            this.#take(event);
          },
          { signal: halfOpen.signal, onStart: () => this.#heard() },
        );
        this.#heard();
      } catch (error) {
        // Other idle connections went the same way and would swallow the list.
        if (isKubeError(error, "Timeout")) client.dropIdleConnections();
        throw error;
      } finally {
        watchdog.cancel();
        signal.removeEventListener("abort", stop);
        if (this.#clock.monotonicMs() - startMs >= healthyWatchMs) backoff.reset();
      }
      // A server on its way down ends watches early, and at once: do not spin.
      if (this.#clock.monotonicMs() - startMs < 1000) await sleep(this.#clock, 1000, signal);
    }
  }

  #take(event: WatchEvent): void {
    if (event.type === "BOOKMARK" || event.type === "ERROR") return;
    const object = this.#slim(event.object as T);
    const changes = event.type === "DELETED" ? this.cache.delete(object) : this.cache.set(object);
    for (const change of changes) this.#tell(this.#listeners, change);
    this.#options.metrics?.cacheObjects.set({ resource: this.#name }, this.cache.size);
  }

  #slim(object: T): T {
    const { managedFields: _, ...metadata } = object.metadata as KubeObject["metadata"] & { managedFields?: unknown };
    const slim = { ...object, metadata } as T;
    if (!this.#options.transform) return slim;
    try {
      return this.#options.transform(slim);
    } catch (error) {
      this.#complain("the transform of the cache failed", slim, error);
      return slim; // More than wanted is better than an object that seems deleted.
    }
  }

  #tell(listeners: readonly Listener<T>[], change: Change<T>): void {
    for (const listener of listeners) {
      try {
        const result = listener(change);
        if (result instanceof Promise) result.catch((error) => this.#complain(listenerFailed, change.object, error));
      } catch (error) {
        this.#complain(listenerFailed, change.object, error);
      }
    }
  }

  #complain(message: string, object: T, error: unknown): void {
    this.#options.metrics?.handlerErrors.inc({ resource: this.#name });
    this.#log.error(message, { resource: this.#name, key: formatKey(keyOf(object)), error: messageOf(error) });
  }

  #startResync(): Timer {
    const { resyncMs = 600_000 } = this.#options;
    if (resyncMs === 0) return { cancel: () => {} };
    let timer: Timer;
    const schedule = () => {
      // Spread, so that the caches of one program do not all wake their queues together.
      timer = this.#clock.setTimer(
        () => {
          for (const object of this.cache.list()) this.#tell(this.#listeners, { type: "Updated", object, old: object });
          schedule();
        },
        resyncMs * (0.9 + 0.2 * this.#random()),
      );
    };
    schedule();
    return { cancel: () => timer.cancel() };
  }

  #heard(): void {
    this.#contactMs = this.#clock.monotonicMs();
  }
}

const listenerFailed = "a listener of the cache failed";

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
