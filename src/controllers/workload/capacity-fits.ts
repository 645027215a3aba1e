import type { Capacity, CapacityStatus } from "../../api/fields/capacity.ts";
import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type LearnedCapacity, learnCapacity, perPod } from "../../capacity/demand.ts";
import type { Log } from "../../kube/log.ts";
import { stamp } from "../../kube/times.ts";
import type { Series } from "../../series/series.ts";
import { readyPodsQuery } from "./metric-query.ts";
import type { MetricReader } from "./metric-reader.ts";
import type { MetricSubject } from "./metric-subject.ts";
import { metricsOf, type Workload } from "./workload.ts";

export interface CapacityFitsOptions {
  readonly metricReader: Pick<MetricReader, "past" | "now">;
  readonly log: Log;
  readonly now: () => number;
}

/** A fit is renewed after a day; where there was too little to learn from, it is tried again after an hour. */
const refitMs = 86_400_000;
const retryMs = 3_600_000;

/** Learns the capacity of workloads whose spec asks for it, from the history of their metrics, while ticks go on. */
export class CapacityFits {
  readonly #options: CapacityFitsOptions;
  readonly #learning = new WeakSet<Workload>();

  constructor(options: CapacityFitsOptions) {
    this.#options = options;
  }

  /** Learns where it is due. Failures are logged, and the previous fit stays. */
  async refresh(ihpa: IntelligentHorizontalPodAutoscaler, workload: Workload, subject: MetricSubject): Promise<void> {
    const { log, now } = this.#options;
    const { capacity } = ihpa.spec;
    if (capacity === undefined || this.#learning.has(workload)) return;
    const known = workload.capacityOf(ihpa);
    if (known && now() - known.atMs < (known.learnt.demand ? refitMs : retryMs)) return;
    this.#learning.add(workload);
    try {
      const { learnt, pasts } = await this.#learn(ihpa, capacity, subject);
      workload.sizeBy(ihpa, learnt, pasts, now());
      const { model, message } = learnt.status;
      log.info("capacity learnt", { ihpa: subject.key, model, message });
    } catch (error) {
      log.error("the capacity could not be learnt", { ihpa: subject.key, error: (error as Error).message });
      if (!known) workload.sizeBy(ihpa, perPod("the capacity could not be learnt; see the log"), new Map(), now());
    } finally {
      this.#learning.delete(workload);
    }
  }

  /** The capacity in use, for the status; undefined before the first try, and where the spec asks for none. */
  statusOf(
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: Workload,
    subject: MetricSubject,
  ): CapacityStatus | undefined {
    const known = workload.capacityOf(ihpa);
    if (!known) return undefined;
    const { demand, status } = known.learnt;
    const live = demand?.loads.map((load) => {
      const spec = subject.metrics.find((metric) => metricName(metric) === load);
      return (spec && this.#options.metricReader.now(subject, spec)?.value) ?? Number.NaN;
    });
    return {
      ...status,
      ...(demand && live && { extrapolated: demand.extrapolates(live) }),
      fittedAt: stamp(known.atMs),
    };
  }

  async #learn(
    ihpa: IntelligentHorizontalPodAutoscaler,
    capacity: Capacity,
    subject: MetricSubject,
  ): Promise<{ learnt: LearnedCapacity; pasts: Map<string, Series> }> {
    const { usage, responseTime, pods } = capacity;
    const pasts = new Map<string, Series>();
    const none = (message: string) => ({ learnt: perPod(message), pasts });
    if (capacity.model === "PerPod")
      return none("spec.capacity.model is PerPod: each metric's target is what one pod carries");
    const read = (spec: MetricSpec) => this.#options.metricReader.past(subject, spec, ihpa.spec.prediction.history);
    const own = metricsOf(ihpa);
    for (const name of capacity.loads) {
      const spec = own.find((metric) => metricName(metric) === name);
      if (spec === undefined) return none(`no provider uses the load ${name}; the targets of the metrics are used`);
      const past = await read(spec);
      if (past.kind === "Unknown") return none(`${name}: ${past.fault.message}`);
      pasts.set(name, past.series);
    }
    const query = pods.query ?? readyPodsQuery(subject.target, subject.namespace);
    const others: Series[] = [];
    for (const observed of [{ ...pods, query }, usage, responseTime]) {
      if (observed === undefined) continue;
      const past = await read(observedSpec(observed));
      if (past.kind === "Unknown") return none(`${observed.name}: ${past.fault.message}`);
      others.push(past.series);
    }
    const [podCounts, ...rest] = others;
    const learnt = learnCapacity(capacity, {
      loads: capacity.loads.map((name) => pasts.get(name)!),
      pods: podCounts,
      ...(usage && { usage: rest[0] }),
      ...(responseTime && { responseSeconds: rest.at(-1) }),
    });
    return { learnt, pasts };
  }
}

/** A metric that is only observed: its target has no meaning. */
function observedSpec({ name, source, query }: { name: string; source?: string; query?: string }): MetricSpec {
  const target = { type: "AverageValue" as const, averageValue: 1 };
  const common = { name, ...(source && { source }), ...(query && { query }) };
  return query === undefined
    ? { ...common, type: "Resource", resource: { name, target } }
    : { ...common, type: "External", external: { metric: { name }, target } };
}
