import type { Cause } from "../../api/cause.ts";
import type { MetricSource, SecretKeyRef } from "../../api/kinds/metric-source.ts";
import { parseDuration } from "../../api/values/duration.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { AddressPolicy } from "../../collect/http/address.ts";
import { Credentials } from "../../collect/http/credentials.ts";
import { PrometheusClient, type RequestReport } from "../../collect/prometheus/prometheus.ts";
import { confined } from "../../collect/prometheus/tenancy.ts";
import type { Cache } from "../../kube/watch/cache.ts";

/** A metric store, ready for queries. */
export interface OpenSource {
  readonly name: string;
  readonly client: PrometheusClient;
  readonly stepMs: number;
  readonly lagMs: number;
  /** The query as this source runs it for a workload of `namespace`. @throws CollectError when it can't be confined to that */
  readonly tenantQuery: (query: string, namespace: string) => string;
}

/** Why a metric can't be read: a word for conditions and a sentence for people. */
export type SourceFault = Cause<"SourceNotFound" | "SourceRefused" | "AlgorithmNotSupported">;

export type SourceOutcome<S = OpenSource> =
  | { readonly kind: "Open"; readonly source: S }
  /** No store: values come from the cluster's metrics APIs, history from the embedded store. */
  | { readonly kind: "MetricsApi" }
  | { readonly kind: "Fault"; readonly fault: SourceFault };

export interface SourcesOptions {
  readonly cache: Cache<MetricSource>;
  /** Reads one key of a Secret. @throws with a message that names the Secret */
  readonly readSecret: (ref: SecretKeyRef) => Promise<string>;
  readonly addresses?: AddressPolicy;
  readonly onRequest?: (report: RequestReport) => void;
  /** Called when a name means another store than before: values from the old one are no longer valid. */
  readonly onMoved?: (source: string) => void;
  readonly now: () => number;
}

/** Credentials are read again this often, as Secrets rotate. */
const reopenMs = 300_000;

interface OpenedSource {
  readonly version: string;
  readonly openedMs: number;
  /** Never rejects. */
  readonly outcome: Promise<SourceOutcome>;
}

/** The cluster's MetricSources as clients, opened when first asked for and again when the object or a Secret changed. */
export class Sources {
  readonly #options: SourcesOptions;
  readonly #open = new Map<string, OpenedSource>();
  /** The store that each name meant last; kept while a source is deleted and created again. */
  readonly #stores = new Map<string, string>();

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** @param name the source that a metric names; the default source where it names none */
  async get(name: string | undefined, namespace: string): Promise<SourceOutcome> {
    const object =
      name === undefined ? defaultOf(this.#options.cache.list()) : this.#options.cache.get({ namespace: "", name });
    if (object === undefined)
      return name === undefined
        ? { kind: "MetricsApi" }
        : fault(
            "SourceNotFound",
            `MetricSource ${name} does not exist; create it, or use one that \`kubectl get metricsources\` lists`,
          );
    const allowed = object.spec.tenancy.namespaces;
    if (allowed && !allowed.includes(namespace))
      return fault(
        "SourceRefused",
        `MetricSource ${object.metadata.name} does not allow namespace ${namespace}; ask its administrator to add it to spec.tenancy.namespaces`,
      );
    return this.#opened(object);
  }

  close(): void {
    for (const { outcome } of this.#open.values())
      void outcome.then((opened) => opened.kind === "Open" && opened.source.client.close());
    this.#open.clear();
  }

  #opened(object: MetricSource): Promise<SourceOutcome> {
    const { name, uid, generation } = object.metadata;
    const version = `${uid}/${generation}`;
    const held = this.#open.get(name);
    const nowMs = this.#options.now();
    if (held?.version === version && nowMs - held.openedMs < reopenMs) return held.outcome;
    this.#noteStore(object);
    const opening: OpenedSource = {
      version,
      openedMs: nowMs,
      outcome: this.#openSource(object).catch((error: Error) => {
        // A missing Secret may exist at the next try.
        if (this.#open.get(name) === opening) this.#open.delete(name);
        const about = error instanceof CollectError ? "" : `MetricSource ${name}: `;
        return fault("SourceRefused", about + error.message);
      }),
    };
    this.#open.set(name, opening);
    void held?.outcome.then((opened) => opened.kind === "Open" && opened.source.client.close());
    return opening.outcome;
  }

  #noteStore({ metadata: { name, uid }, spec: { url, headers } }: MetricSource): void {
    const store = JSON.stringify([uid, url, headers]); // headers choose the tenant
    const before = this.#stores.get(name);
    this.#stores.set(name, store);
    if (before !== undefined && before !== store) this.#options.onMoved?.(name);
  }

  async #openSource({ metadata: { name }, spec }: MetricSource): Promise<SourceOutcome> {
    if (spec.type === "Resource" || spec.type === "Custom" || spec.type === "External") return { kind: "MetricsApi" };
    if (spec.type !== "Prometheus")
      return fault(
        "AlgorithmNotSupported",
        `MetricSource ${name} is of type ${spec.type}, which this version cannot read yet; use Prometheus`,
      );
    const secret = (ref: SecretKeyRef | undefined) => (ref ? this.#options.readSecret(ref) : undefined);
    const { bearerToken, username, password, clientCertificate, clientKey } = spec.credentials ?? {};
    const [token, user, pass, certificate, key, ca] = await Promise.all(
      [bearerToken, username, password, clientCertificate, clientKey, spec.certificateAuthority].map(secret),
    );
    const client = new PrometheusClient({
      name,
      url: spec.url!,
      credentials: new Credentials({
        ...(token !== undefined && { bearerToken: token }),
        ...(user !== undefined && { basic: { username: user, password: pass ?? "" } }),
        ...(spec.headers && { headers: spec.headers }),
        ...(ca !== undefined && { ca }),
        ...(certificate !== undefined && { certificate, key }),
      }),
      addresses: this.#options.addresses,
      timeoutMs: parseDuration(spec.timeout),
      now: this.#options.now,
      onRequest: this.#options.onRequest,
    });
    const { rule, label } = spec.tenancy;
    const tenantQuery = (query: string, namespace: string) =>
      rule === "None" ? query : confined(query, label, namespace, name);
    return {
      kind: "Open",
      source: { name, client, stepMs: parseDuration(spec.step), lagMs: parseDuration(spec.lag), tenantQuery },
    };
  }
}

function fault(reason: SourceFault["reason"], message: string): SourceOutcome {
  return { kind: "Fault", fault: { reason, message } };
}

/** The source for metrics that name none: the one marked as default; of several the oldest, and of equal age the first by name. */
export function defaultOf(sources: readonly MetricSource[]): MetricSource | undefined {
  const seniority = ({ metadata }: MetricSource) => `${metadata.creationTimestamp ?? "9999"} ${metadata.name}`;
  return sources
    .filter(({ spec }) => spec.default)
    .toSorted((a, b) => seniority(a).localeCompare(seniority(b), "en"))[0];
}
