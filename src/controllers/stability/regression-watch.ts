import type { StabilityChecker } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { GrayChange } from "../../decide/steps/gray.ts";
import { checkRegression, type Sample } from "../../stability/check-regression.ts";
import type { CheckResult } from "../../stability/stability.ts";
import type { Sources } from "../metric-source/sources.ts";

type RegressionSpec = NonNullable<StabilityChecker["regression"]>;

/** What is compared: far enough back for a median, near enough to be of now. */
const spanMs = 15 * 60_000;
const stepMs = 15_000;
const longestMs = 3000;
/** Rises that are no worse, whatever they are a share of: of requests that fail, and in seconds. */
const slack = { errorRate: 0.005, responseTime: 0.01 } as const;

/**
 * Asks metric sources whether a workload's error rate or response time got worse with a change. Both sides of it are read from the
 * source, so that nothing is lost in a restart.
 */
export class RegressionWatch {
  readonly #sources: Sources;
  readonly #now: () => number;
  /** What was before a change, by who asks for it: it is over and does not change. */
  readonly #before = new Map<string, { readonly beganMs: number; readonly samples: readonly Sample[] }>();

  constructor({ sources, now }: { sources: Sources; now: () => number }) {
    this.#sources = sources;
    this.#now = now;
  }

  /**
   * @param key of whoever asks, for what is remembered
   * @param change the one under way; without one nothing can have become worse by it
   */
  async check(
    key: string,
    { errorRate, responseTime, tolerance }: RegressionSpec,
    namespace: string,
    change: GrayChange | undefined,
  ): Promise<CheckResult> {
    if (change === undefined) {
      this.forget(key);
      return { kind: "Passed" };
    }
    const measures = [
      { name: "error rate", query: errorRate, slack: slack.errorRate },
      { name: "response time", query: responseTime, slack: slack.responseTime },
    ];
    const asked = measures.flatMap(({ query, ...measure }) => (query ? [{ ...measure, query }] : []));
    const results = await Promise.all(
      asked.map(async ({ name, query, slack }): Promise<CheckResult> => {
        try {
          const samples = await this.#samples(`${key}/${name}`, query, namespace, change);
          const share = Number.parseFloat(tolerance) / 100;
          return checkRegression({ name, samples, ...change, nowMs: this.#now(), tolerance: share, slack });
        } catch (error) {
          if (!(error instanceof CollectError)) throw error;
          return { kind: "Unknown", message: `the ${name} can't be read: ${error.message}` };
        }
      }),
    );
    const worst = (kind: CheckResult["kind"]) => results.find((result) => result.kind === kind);
    return worst("Failed") ?? worst("Unknown") ?? { kind: "Passed" };
  }

  /** @param key whoever asked, or the beginning of it */
  forget(key: string): void {
    for (const each of this.#before.keys()) if (each.startsWith(`${key}/`)) this.#before.delete(each);
  }

  async #samples(
    key: string,
    { source, query }: { readonly source?: string; readonly query: string },
    namespace: string,
    { beganMs, stepMs: lastStepMs }: GrayChange,
  ): Promise<Sample[]> {
    const outcome = await this.#sources.get(source, namespace);
    if (outcome.kind === "Fault") throw new CollectError("NotFound", outcome.fault.message);
    if (outcome.kind === "MetricsApi")
      throw new CollectError("NotFound", "there is no MetricSource of type Prometheus; name one in the field source");
    const { client, tenantQuery, lagMs } = outcome.source;
    const signal = AbortSignal.timeout(longestMs);
    const read = async (startMs: number, endMs: number): Promise<Sample[]> => {
      if (endMs <= startMs) return [];
      const { timesMs, values } = await client.rangeOfOne(
        tenantQuery(query, namespace),
        { startMs, endMs, stepMs },
        { signal },
      );
      return Array.from(timesMs, (timeMs, at) => ({ timeMs, value: values[at] }));
    };
    const untilMs = this.#now() - lagMs;
    const known = this.#before.get(key);
    const before =
      known?.beganMs === beganMs ? known.samples : await read(beganMs - spanMs, Math.min(beganMs - 1, untilMs));
    // Whole only once the source has had the time to hear of it.
    if (untilMs >= beganMs) this.#before.set(key, { beganMs, samples: before });
    return [...before, ...(await read(Math.max(lastStepMs + 1, untilMs - spanMs), untilMs))];
  }
}
