import { LRUCache } from "lru-cache";
import type { Series } from "../series/series.ts";
import { CollectError, concernsSource } from "./collect-error.ts";
import { chunksOf, maxPointsPerQuery, type Range } from "./http/chunks.ts";
import { Limit } from "./http/limit.ts";
import type { Samples } from "./samples.ts";
import { samplingStepMs, toSeries } from "./to-series.ts";

/** What histories are read from; a PrometheusClient is one. */
export interface RangeSource {
  readonly name: string;
  rangeOfOne(query: string, range: Range): Promise<Samples>;
}

export interface HistoryRequest {
  readonly source: RangeSource;
  readonly query: string;
  readonly stepMs: number;
  /** How far back the history reaches. */
  readonly spanMs: number;
  /** A step counts as complete this long after its end; 30 s where absent, as for a MetricSource. */
  readonly lagMs?: number;
  /** Called as the first fetch gets on. */
  readonly onProgress?: (fetchedSteps: number, wantedSteps: number) => void;
}

/** A workload's history as far as it is known. */
export interface History {
  /** Complete steps only, on multiples of the step since the epoch; begins with the first known value. */
  readonly series: Series;
  /** When the newest step was last fetched with success; undefined before the first time. */
  readonly freshAtMs: number | undefined;
  /** Steps still to be fetched, because of a fault. */
  readonly pendingSteps: number;
  /** Why not all was fetched this time; the series holds what was known before. */
  readonly fault: CollectError | undefined;
}

export interface HistoriesOptions {
  /** Requests to one source at once. */
  readonly requestsPerSource?: number;
  /** Values of all histories together; the least recently used go first. Eight bytes each. */
  readonly maxValues?: number;
  /** Steps that are fetched again each time, as a store's newest samples may come late. */
  readonly overlapSteps?: number;
  /** Missing steps younger than this are asked for again, as a store may be filled in after an outage of its own. */
  readonly revisitMs?: number;
  /** How long a source that failed is left alone. */
  readonly restMs?: number;
  readonly now?: () => number;
  readonly random?: () => number;
}

/** `values[i]` is the step that starts at `startMs + i·stepMs`; `pending` are spans still to be fetched, oldest first. */
interface Entry {
  readonly stepMs: number;
  startMs: number;
  values: Float64Array;
  pending: Span[];
  freshAtMs: number | undefined;
  /** Spans other than the newest are left alone until then. */
  olderAfterMs: number;
  olderFailures: number;
}

/** `[fromMs, toMs)`, on the grid of steps. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Histories by source, query and step, shared by all workloads that ask alike. The first fetch takes the whole span in
 * chunks, newest first, so that a store that fails midway has given what matters most; afterwards only new points (with a
 * small overlap), what failed before and young gaps are asked for. A history that is lost is fetched again.
 */
export class Histories {
  readonly #entries: LRUCache<string, Entry>;
  readonly #underWay = new Map<string, Promise<History>>();
  readonly #limits = new Map<string, Limit>();
  readonly #resting = new Map<string, { untilMs: number; error: CollectError }>();
  readonly #options: Required<HistoriesOptions>;

  constructor(options: HistoriesOptions = {}) {
    this.#options = {
      requestsPerSource: 4,
      maxValues: 32 * 2 ** 20,
      overlapSteps: 2,
      revisitMs: 3_600_000,
      restMs: 10_000,
      now: Date.now,
      random: Math.random,
      ...options,
    };
    this.#entries = new LRUCache({
      maxSize: this.#options.maxValues,
      sizeCalculation: (entry) => entry.values.length + 64,
    });
  }

  /**
   * Brings a history up to date and gives it. Failures of the source are part of the outcome, never thrown.
   * @throws RangeError when the step is not above 0 or the span shorter than a step
   */
  refresh(request: HistoryRequest): Promise<History> {
    if (!(request.stepMs > 0)) throw new RangeError(`a history needs a step above 0, not ${request.stepMs} ms`);
    if (!(request.spanMs >= request.stepMs))
      throw new RangeError(`a history of ${request.spanMs} ms is shorter than its step of ${request.stepMs} ms`);
    const key = `${request.source.name}\0${request.query}\0${request.stepMs}`;
    const flight = `${key}\0${request.spanMs}`;
    const running = this.#underWay.get(flight);
    if (running) return running;
    // Two spans of one key share an entry, so they take turns.
    const before = [...this.#underWay].filter(([other]) => other.startsWith(`${key}\0`)).map(([, promise]) => promise);
    const fresh = Promise.all(before)
      .then(() => this.#refresh(key, request))
      .finally(() => this.#underWay.delete(flight));
    this.#underWay.set(flight, fresh);
    return fresh;
  }

  /** Drops all that came from a source: its name now means another store. */
  forget(source: string): void {
    for (const key of [...this.#entries.keys()]) if (key.startsWith(`${source}\0`)) this.#entries.delete(key);
    this.#resting.delete(source);
    this.#limits.delete(source);
  }

  async #refresh(key: string, request: HistoryRequest): Promise<History> {
    const { stepMs, spanMs, source } = request;
    const toMs = Math.floor((this.#options.now() - (request.lagMs ?? 30_000)) / stepMs) * stepMs;
    const fromMs = toMs - Math.floor(spanMs / stepMs) * stepMs;
    const known = this.#entries.get(key);
    const entry: Entry = known ?? {
      stepMs,
      startMs: fromMs,
      values: new Float64Array(0),
      pending: [],
      freshAtMs: undefined,
      olderAfterMs: 0,
      olderFailures: 0,
    };
    this.#advance(entry, fromMs, toMs);
    this.#entries.set(key, entry); // measured anew, as it may have grown
    const fault = this.#resting.has(source.name) ? this.#restingError(source.name) : undefined;
    const failed = fault ?? (await this.#fetchPending(entry, request));
    return {
      series: seriesOf(entry, fromMs, toMs),
      freshAtMs: entry.freshAtMs,
      pendingSteps: entry.pending.reduce((sum, span) => sum + (span.toMs - span.fromMs) / stepMs, 0),
      fault: failed,
    };
  }

  /**
   * Moves the window so that it ends at `toMs`, wherever the clock has gone meanwhile, and begins at `fromMs` or, where
   * another asks for more, before. What falls out is forgotten, what comes in is pending.
   */
  #advance(entry: Entry, fromMs: number, toMs: number): void {
    const { stepMs } = entry;
    const length = Math.max((toMs - fromMs) / stepMs, entry.values.length);
    const startMs = toMs - length * stepMs;
    const endMs = entry.values.length === 0 ? startMs : entry.startMs + entry.values.length * stepMs;
    const values = new Float64Array(length).fill(NaN);
    const shift = (entry.startMs - startMs) / stepMs;
    for (let i = Math.max(0, -shift); i < entry.values.length && i + shift < length; i++)
      values[i + shift] = entry.values[i];
    const spans = [...entry.pending, { fromMs: startMs, toMs: entry.startMs }]; // the latter is empty unless it grew
    entry.startMs = startMs;
    entry.values = values;
    spans.push({ fromMs: this.#revisitedFrom(entry, Math.min(endMs, toMs)), toMs });
    entry.pending = merged(spans, startMs, toMs);
  }

  /** Where the newest span begins: some steps before what is known ends, or at the first young gap. */
  #revisitedFrom(entry: Entry, endMs: number): number {
    const overlap = endMs - this.#options.overlapSteps * entry.stepMs;
    const oldest = Math.max(entry.startMs, endMs - this.#options.revisitMs);
    const firstStep = Math.ceil((oldest - entry.startMs) / entry.stepMs);
    for (let step = firstStep; entry.startMs + step * entry.stepMs < overlap; step++)
      if (Number.isNaN(entry.values[step])) return entry.startMs + step * entry.stepMs;
    return overlap;
  }

  async #fetchPending(entry: Entry, { source, query, onProgress }: HistoryRequest): Promise<CollectError | undefined> {
    const limit = this.#limits.get(source.name) ?? new Limit(this.#options.requestsPerSource);
    this.#limits.set(source.name, limit);
    const { stepMs } = entry;
    const asked = entry.pending.flatMap((span) => spansOf(span, stepMs)).reverse();
    const wanted = asked.reduce((sum, span) => sum + (span.toMs - span.fromMs) / stepMs, 0);
    let fetched = 0;
    for (const [index, span] of asked.entries()) {
      if (index > 0 && this.#options.now() < entry.olderAfterMs) break;
      try {
        const samples = await limit.run(() => {
          const resting = this.#restingError(source.name); // it may have failed while this one waited
          if (resting) throw resting;
          return source.rangeOfOne(query, instantsOf(span, stepMs));
        });
        keep(entry, span, samples);
      } catch (error) {
        if (!(error instanceof CollectError)) throw error;
        if (concernsSource(error) || error.code === "Timeout" || error.code === "ServerError")
          this.#rest(source.name, error);
        if (index > 0) {
          entry.olderFailures++;
          entry.olderAfterMs = this.#options.now() + Math.min(3_600_000, 30_000 * 2 ** entry.olderFailures);
        }
        return error;
      }
      if (index === 0) entry.freshAtMs = this.#options.now();
      else entry.olderFailures = 0;
      entry.pending = merged(
        entry.pending.flatMap((pending) => without(pending, span)),
        entry.startMs,
        Infinity,
      );
      fetched += (span.toMs - span.fromMs) / stepMs;
      onProgress?.(fetched, wanted);
    }
    return undefined;
  }

  #rest(source: string, error: CollectError): void {
    const ms = this.#options.restMs * (0.5 + this.#options.random());
    this.#resting.set(source, { untilMs: this.#options.now() + ms, error });
  }

  #restingError(source: string): CollectError | undefined {
    const resting = this.#resting.get(source);
    if (resting && this.#options.now() < resting.untilMs) return resting.error;
    this.#resting.delete(source);
    return undefined;
  }
}

/** The instants whose samples make the steps of a span: after its start, up to and with its end. */
function instantsOf(span: Span, stepMs: number): Range {
  const samplingMs = samplingStepMs(stepMs);
  return { startMs: span.fromMs + samplingMs, endMs: span.toMs, stepMs: samplingMs };
}

/** A span cut so that each piece is one request. */
function spansOf(span: Span, stepMs: number): Span[] {
  const stepsPerQuery = Math.floor(maxPointsPerQuery / (stepMs / samplingStepMs(stepMs)));
  return chunksOf({ startMs: span.fromMs, endMs: span.toMs - stepMs, stepMs }, stepsPerQuery).map((chunk) => ({
    fromMs: chunk.startMs,
    toMs: chunk.endMs + stepMs,
  }));
}

/** Writes what was found; a known value is never unlearned, as a store's retention may drop what we still hold. */
function keep(entry: Entry, span: Span, samples: Samples): void {
  const { stepMs } = entry;
  const found = toSeries(samples, { startMs: span.fromMs, stepMs, steps: (span.toMs - span.fromMs) / stepMs });
  const shift = (span.fromMs - entry.startMs) / stepMs;
  for (let i = 0; i < found.values.length; i++)
    if (!Number.isNaN(found.values[i]) && i + shift >= 0) entry.values[i + shift] = found.values[i];
}

function seriesOf(entry: Entry, fromMs: number, toMs: number): Series {
  const { stepMs } = entry;
  let first = Math.max(0, Math.round((fromMs - entry.startMs) / stepMs));
  const end = Math.min(entry.values.length, Math.round((toMs - entry.startMs) / stepMs));
  while (first < end && Number.isNaN(entry.values[first])) first++;
  return { startMs: entry.startMs + first * stepMs, stepMs, values: entry.values.slice(first, Math.max(first, end)) };
}

/** Spans in order, touching ones made one, what lies before `startMs` or after `endMs` cut off. */
function merged(spans: readonly Span[], startMs: number, endMs: number): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const fromMs = Math.max(span.fromMs, startMs);
    const toMs = Math.min(span.toMs, endMs);
    if (toMs <= fromMs) continue;
    const last = result.at(-1);
    if (last && fromMs <= last.toMs)
      result[result.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, toMs) };
    else result.push({ fromMs, toMs });
  }
  return result;
}

/** What of `span` is not in `done`. */
function without(span: Span, done: Span): Span[] {
  if (done.toMs <= span.fromMs || done.fromMs >= span.toMs) return [span];
  return [
    { fromMs: span.fromMs, toMs: Math.min(span.toMs, done.fromMs) },
    { fromMs: Math.max(span.fromMs, done.toMs), toMs: span.toMs },
  ].filter(({ fromMs, toMs }) => fromMs < toMs);
}
