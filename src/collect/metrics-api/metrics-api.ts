import type { MetricSpec } from "../../api/fields/metrics.ts";
import { loadMetric, replicasMetric } from "../../api/labels.ts";
import { type CollectCode, CollectError, printable } from "../collect-error.ts";
import { quantityValue } from "./quantity.ts";

/** Reads a path of the API server and gives the parsed JSON; a failure has a `code` as a KubeError has. */
export type Get = (path: string) => Promise<unknown>;

/** One value of the metrics APIs. */
export interface ApiValue {
  /** Name of the pod or object that it is about; empty for external metrics. */
  readonly about: string;
  /** In base units (cores, bytes); NaN where there is none. */
  readonly value: number;
  readonly timeMs: number;
  /** How far back from `timeMs` it looks. */
  readonly windowMs: number;
}

/** Whose metric: a workload's pods by label selector, in their namespace. */
export interface MetricScope {
  readonly namespace: string;
  /** In its text form, such as `app=web,tier in (a,b)`. */
  readonly selector: string;
}

/** Reads the three metrics APIs through one `get`; what discovery says is kept for ten minutes. */
export class MetricsApi {
  readonly #get: Get;
  readonly #now: () => number;
  readonly #discovered = new Map<string, { untilMs: number; answer: Promise<unknown> }>();

  constructor(get: Get, now: () => number = Date.now) {
    this.#get = get;
    this.#now = now;
  }

  /**
   * The values of a metric as its API gives them: one a pod for Resource, ContainerResource and Pods, one for Object, one a series for External.
   * @throws CollectError
   */
  async read(spec: MetricSpec, scope: MetricScope): Promise<ApiValue[]> {
    const namespace = encodeURIComponent(scope.namespace);
    const selected = { labelSelector: scope.selector };
    switch (spec.type) {
      case "Resource":
      case "ContainerResource": {
        const { name, container } = spec.containerResource ?? { name: spec.resource?.name ?? "", container: undefined };
        const items = await this.#items(`/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`, selected);
        return items.map((item) => podUsage(item, name, container));
      }
      case "Pods": {
        const { metric } = spec.pods!;
        const path = `${await this.#customApi()}/namespaces/${namespace}/pods/*/${encodeURIComponent(metric.name)}`;
        return (await this.#items(path, { ...selected, metricLabelSelector: selectorText(metric.selector) })).map(
          apiValue,
        );
      }
      case "Object": {
        const { describedObject, metric } = spec.object!;
        const { apiVersion = "v1", kind, name } = describedObject;
        const names = [name, metric.name].map(encodeURIComponent).join("/");
        const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
        const custom = await this.#customApi();
        const path =
          group === "" && kind === "Namespace"
            ? `${custom}/namespaces/${encodeURIComponent(name)}/metrics/${encodeURIComponent(metric.name)}`
            : `${custom}/namespaces/${namespace}/${await this.#plural(apiVersion, kind)}${group}/${names}`;
        return (await this.#items(path, { metricLabelSelector: selectorText(metric.selector) })).map(apiValue);
      }
      case "External": {
        const { metric } = spec.external!;
        if (metric.name === replicasMetric || metric.name === loadMetric)
          throw new CollectError(
            "BadQuery",
            `the metric ${metric.name} is Forescale's own answer; name the load that it shall follow`,
          );
        const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${encodeURIComponent(metric.name)}`;
        return (await this.#items(path, { labelSelector: selectorText(metric.selector) })).map(apiValue);
      }
    }
  }

  async #items(path: string, query: Record<string, string>): Promise<Record<string, unknown>[]> {
    const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
    const answer = await this.#ask(parameters.size > 0 ? `${path}?${parameters}` : path);
    const items = isRecord(answer) ? answer.items : undefined;
    if (!Array.isArray(items))
      throw new CollectError("BadAnswer", `the metrics API at ${path} sent no list; see its adapter's log`);
    return items.filter(isRecord);
  }

  async #ask(path: string): Promise<unknown> {
    try {
      return await this.#get(path);
    } catch (error) {
      const [code, remedy] = meanings[String((error as { code?: unknown }).code)] ?? [
        "ServerError",
        "see the adapter's log",
      ];
      const said = printable((error as Error).message ?? "", 300);
      throw new CollectError(code, `the metrics API at ${path.split("?")[0]} failed (${said}); ${remedy}`, {
        cause: error,
      });
    }
  }

  #discover(path: string): Promise<unknown> {
    const known = this.#discovered.get(path);
    if (known && this.#now() < known.untilMs) return known.answer;
    const answer = this.#ask(path);
    this.#discovered.set(path, { untilMs: this.#now() + 600_000, answer });
    answer.catch(() => this.#discovered.delete(path)); // what failed is asked again
    return answer;
  }

  async #customApi(): Promise<string> {
    const group = (await this.#discover("/apis/custom.metrics.k8s.io")) as { versions?: { version?: string }[] };
    const offered = new Set((group?.versions ?? []).map(({ version }) => version));
    const version = ["v1beta2", "v1beta1"].find((each) => offered.has(each));
    if (version) return `/apis/custom.metrics.k8s.io/${version}`;
    throw new CollectError(
      "NotFound",
      "custom.metrics.k8s.io is served in no version that is read here; see its adapter",
    );
  }

  async #plural(apiVersion: string, kind: string): Promise<string> {
    const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
    const path =
      group === ""
        ? `/api/${encodeURIComponent(version)}`
        : `/apis/${encodeURIComponent(group)}/${encodeURIComponent(version)}`;
    const list = (await this.#discover(path)) as { resources?: { name?: string; kind?: string }[] };
    const found = (list?.resources ?? []).find((each) => each.kind === kind && each.name && !each.name.includes("/"));
    if (found?.name) return encodeURIComponent(found.name);
    throw new CollectError(
      "NotFound",
      `the cluster has no kind ${printable(kind)} in ${printable(apiVersion)}; correct the metric's describedObject`,
    );
  }
}

/** A label selector in its text form; empty for none. */
export function selectorText(
  selector:
    | {
        readonly matchLabels?: Readonly<Record<string, string>>;
        readonly matchExpressions?: readonly {
          readonly key: string;
          readonly operator: string;
          readonly values?: readonly string[];
        }[];
      }
    | undefined,
): string {
  const equalities = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`;
  });
  return [...equalities, ...expressions].join(",");
}

/** What the API server's failures mean here, with the remedy. */
const meanings: Readonly<Record<string, [CollectCode, string] | undefined>> = {
  NotFound: ["NotFound", "see whether the metric's name is right and its adapter is installed"],
  Unauthorized: ["Unauthorized", "see our service account"],
  Forbidden: ["Unauthorized", "give our service account the right to read it"],
  TooManyRequests: ["RateLimited", "ask less often"],
  Timeout: ["Timeout", "see whether its adapter is overloaded"],
  Unreachable: ["Unreachable", "see the API server"],
  BadAnswer: ["BadAnswer", "see its adapter's log"],
};

function podUsage(item: Record<string, unknown>, resource: string, container: string | undefined): ApiValue {
  const containers = (Array.isArray(item.containers) ? item.containers : []).filter(isRecord);
  const counted = container === undefined ? containers : containers.filter(({ name }) => name === container);
  const values = counted.map(({ usage }) => quantityValue(isRecord(usage) ? usage[resource] : undefined));
  return {
    about: isRecord(item.metadata) ? String(item.metadata.name) : "",
    // One container without a value makes the pod's sum unknown.
    value: values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0),
    timeMs: Date.parse(String(item.timestamp)),
    windowMs: durationMs(item.window),
  };
}

function apiValue(item: Record<string, unknown>): ApiValue {
  const seconds =
    typeof item.windowSeconds === "number" ? item.windowSeconds : typeof item.window === "number" ? item.window : 0;
  return {
    about: isRecord(item.describedObject) ? String(item.describedObject.name) : "",
    value: quantityValue(item.value),
    timeMs: Date.parse(String(item.timestamp)),
    windowMs: seconds * 1000,
  };
}

/** A Go duration such as `1m15.5s` in milliseconds; 0 for what is none. */
function durationMs(text: unknown): number {
  if (typeof text !== "string" || !/^((\d+\.?\d*)(h|m|s|ms))+$/.test(text)) return 0;
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  return [...text.matchAll(/(\d+\.?\d*)(ms|h|m|s)/g)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * units[unit],
    0,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
