import type { StabilityChecker } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { GrayChange } from "../../decide/steps/gray.ts";
import { checkRegression, type Sample } from "../../stability/check-regression.ts";
import type { CheckResult } from "../../stability/stability.ts";
import type { Sources } from "../metric-source/sources.ts";

type RegressionSpec = NonNullable<StabilityChecker["regression"]>;

/** Time span that is compared: long enough for a median, short enough to be current. */
const spanMs = 15 * 60_000;
const stepMs = 15_000;
const longestMs = 3000;
/** Rises that never count as a regression: in the share of failed requests, and in seconds. */
const slack = { errorRate: 0.005, responseTime: 0.01 } as const;

/**
 * Checks in metric sources whether a workload's error rate or response time got worse with a change. The time before the change is read
 * from the source too, so that a restart loses nothing.
 */
export class RegressionWatch {
  readonly #sources: Sources;
  readonly #now: () => number;
  /** Samples from before a change, by key: they do not change any more. */
  readonly #before = new Map<string, { readonly beganMs: number; readonly samples: readonly Sample[] }>();

  constructor({ sources, now }: { sources: Sources; now: () => number }) {
    this.#sources = sources;
    this.#now = now;
  }

  /**
   * @param key of the checker, under which samples are kept
   * @param change the one in progress; without one there is no regression
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

  /** @param key of the checker, or a prefix of it */
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
    // Complete only once the source has had time to receive the samples.
    if (untilMs >= beganMs) this.#before.set(key, { beganMs, samples: before });
    return [...before, ...(await read(Math.max(lastStepMs + 1, untilMs - spanMs), untilMs))];
  }
}
