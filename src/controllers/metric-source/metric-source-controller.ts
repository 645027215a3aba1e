import type { MetricSource, MetricSourceStatus } from "../../api/kinds/metric-source.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { PrometheusClient } from "../../collect/prometheus/prometheus.ts";
import type { Applier } from "../../kube/client/apply.ts";
import { parseKey, resourceOf } from "../../kube/client/resource.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import type { Next } from "../../kube/loop/work-queue.ts";
import { stamp } from "../../kube/times.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import { type Claim, transitions, withClaims } from "../status/set-condition.ts";
import { StatusOverlay } from "../status/status-overlay.ts";
import { defaultOf, type SourceOutcome } from "./sources.ts";

/** What a probe needs of an open source. */
type Probed = { readonly client: Pick<PrometheusClient, "instant"> };

export interface MetricSourceControllerOptions {
  readonly applier: Pick<Applier, "applyStatus">;
  readonly events: Pick<EventRecorder, "record">;
  readonly sources: { get(name: string, namespace: string): Promise<SourceOutcome<Probed>> };
  readonly cache: Cache<MetricSource>;
  readonly now: () => number;
}

const probeMs = 60_000;
/** The status of a source that answers is renewed this often. */
const renewMs = 300_000;

/** Probes each MetricSource once a minute, so that a bad address or Secret shows before a decision needs it. */
export class MetricSourceController {
  readonly #options: MetricSourceControllerOptions;
  readonly #writtenMs = new Map<string, number>();
  readonly #written = new StatusOverlay<MetricSourceStatus>();

  constructor(options: MetricSourceControllerOptions) {
    this.#options = options;
  }

  /** Reconciles one source's status. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const { cache, applier, events, now } = this.#options;
    const object = cache.get(parseKey(key));
    if (object === undefined) {
      this.#writtenMs.delete(key);
      this.#written.forget(key);
      return {};
    }
    const claim = await this.#probe(object);
    const reached = claim.status === "True";
    const claims = [claim, ...defaultClaims(object, cache.list())];
    const before = this.#written.of(object);
    const changes = transitions(before?.conditions, claims);
    if (changes.length === 0 && now() - (this.#writtenMs.get(key) ?? 0) < renewMs) return { recheckAfterMs: probeMs };
    const status: MetricSourceStatus = {
      observedGeneration: object.metadata.generation,
      ...(reached
        ? { lastReachedTime: stamp(now()) }
        : before?.lastReachedTime && { lastReachedTime: before.lastReachedTime }),
      conditions: withClaims(before?.conditions, claims, object.metadata.generation, stamp(now())),
    };
    const wanted = { ...object, status };
    await applier.applyStatus(resourceOf("MetricSource"), wanted, {
      cached: object,
      force: true,
    });
    this.#writtenMs.set(key, now());
    this.#written.note(object, status);
    for (const { status: holds, reason, message } of changes)
      events.record({
        regarding: object,
        type: holds === "True" ? "Normal" : "Warning",
        reason,
        action: "Probe",
        note: message,
      });
    return { recheckAfterMs: probeMs };
  }

  async #probe(object: MetricSource): Promise<Claim> {
    const claim = (holds: boolean, reason: string, message: string): Claim => ({
      type: "Ready",
      status: holds ? "True" : "False",
      reason,
      message: message.slice(0, 1024),
    });
    // The probe belongs to no namespace, so it takes one that is allowed.
    const outcome = await this.#options.sources.get(object.metadata.name, object.spec.tenancy.namespaces?.[0] ?? "");
    switch (outcome.kind) {
      case "Fault":
        return claim(false, outcome.fault.reason, outcome.fault.message);
      case "MetricsApi":
        return claim(
          true,
          "AsExpected",
          "values come from the cluster's metrics APIs, history from the embedded store",
        );
      case "Open":
        try {
          await outcome.source.client.instant("vector(1)");
          return claim(true, "SourceReached", "the source answers");
        } catch (error) {
          if (!(error instanceof CollectError)) throw error;
          const refused = error.code === "Unauthorized" || error.code === "BadAddress" || error.code === "Redirected";
          return claim(false, refused ? "SourceRefused" : "SourceUnreachable", error.message);
        }
    }
  }
}

/** Of several sources marked as default only the oldest is; the others get a condition that names it. */
function defaultClaims({ metadata: { name }, spec }: MetricSource, all: readonly MetricSource[]): Claim[] {
  if (!spec.default) return [];
  const first = defaultOf(all)?.metadata.name ?? name;
  if (first === name)
    return [
      { type: "Default", status: "True", reason: "AsExpected", message: "metrics that name no source use this one" },
    ];
  const message = `the older MetricSource ${first} is the default; set spec.default: false in one of the two`;
  return [{ type: "Default", status: "False", reason: "DefaultTaken", message }];
}
