import { amountOf, type Fields, fieldsOf, listOf } from "./pod-fields.ts";
import type { Resources } from "./sidecar-resources.ts";

/** One item of a LimitRange's `spec.limits`. Amounts are by resource. */
export interface LimitRangeItem {
  readonly type?: string;
  readonly min?: Fields;
  readonly max?: Fields;
  /** Limits and requests of containers that have none. */
  readonly default?: Fields;
  readonly defaultRequest?: Fields;
  readonly maxLimitRequestRatio?: Fields;
}

type Amounts = Record<string, string>;

/** Below this a sidecar that freezes may be killed for its memory. */
const leastMemory = "128Mi";

/**
 * Resources of the sidecar within what a namespace's LimitRanges demand of every container and every pod, so that no pod is refused
 * for a container that it did not ask for.
 *
 * @param resources what it would have
 * @param spec the pod's, without the sidecar
 * @param items of all LimitRanges of the namespace
 * @returns a text, with its remedy, where they leave it no room
 */
export function withinLimits(
  resources: Resources | undefined,
  spec: Fields,
  items: readonly LimitRangeItem[],
): Resources | string | undefined {
  if (items.length === 0) return resources;
  const requests: Amounts = { ...resources?.requests };
  const limits: Amounts = { ...resources?.limits };
  const isGuaranteed = isSame(requests, limits);
  const ofContainers = items.filter(({ type }) => type === "Container");
  for (const item of ofContainers) addDefaults(requests, limits, item);
  for (const item of ofContainers) adjust(requests, limits, item);
  // What keeps the pod Guaranteed: both as large as the larger.
  if (isGuaranteed) for (const name of Object.keys(limits)) requests[name] = limits[name];
  const isTooSmall = limits.memory !== undefined && amountOf(limits.memory) < amountOf(leastMemory);
  if (isTooSmall || ofContainers.some((item) => !isWithin(requests, limits, item)))
    return roomless("a container", "its max or its maxLimitRequestRatio");
  const sums = sumsOf(spec, { requests, limits });
  if (items.some((item) => item.type === "Pod" && !isWithin(sums.requests, sums.limits, item)))
    return roomless("a pod", "its limits for pods");
  return Object.keys(requests).length + Object.keys(limits).length === 0 ? undefined : { requests, limits };
}

function roomless(what: string, which: string): string {
  return `gets no sidecar within the namespace's LimitRange for ${what}; raise ${which}`;
}

/** As the API server will: what has no limit gets the default one, and so for requests. */
function addDefaults(requests: Amounts, limits: Amounts, item: LimitRangeItem): void {
  for (const [name, amount] of entriesOf(item.default)) limits[name] ??= amount;
  for (const [name, amount] of entriesOf(item.defaultRequest)) requests[name] ??= amount;
}

function adjust(requests: Amounts, limits: Amounts, { min, max, maxLimitRequestRatio }: LimitRangeItem): void {
  for (const [name, least] of entriesOf(min)) {
    requests[name] = larger(requests[name] ?? limits[name], least);
    if (limits[name] !== undefined) limits[name] = larger(limits[name], least);
  }
  for (const [name, most] of entriesOf(max)) {
    limits[name] = smaller(limits[name], most);
    if (requests[name] !== undefined) requests[name] = smaller(requests[name], most);
  }
  for (const [name, ratio] of entriesOf(maxLimitRequestRatio)) {
    const limit = limits[name] ?? requests[name];
    if (limit === undefined) continue;
    limits[name] = limit;
    const least = amountOf(limit) / amountOf(ratio);
    if (amountOf(requests[name] ?? "0") < least)
      requests[name] = name === "cpu" ? cpu(least) : String(Math.ceil(least));
  }
  for (const [name, limit] of Object.entries(limits))
    if (requests[name] !== undefined) requests[name] = smaller(requests[name], limit);
}

/** Whether amounts are within an item, as the API server judges: with a bound, what it bounds must be there. */
function isWithin(requests: Amounts, limits: Amounts, { min, max, maxLimitRequestRatio }: LimitRangeItem): boolean {
  const request = (name: string) => amountOf(requests[name] ?? limits[name]);
  const limit = (name: string) => amountOf(limits[name]);
  return (
    entriesOf(min).every(([name, least]) => request(name) >= amountOf(least) && !(limit(name) < amountOf(least))) &&
    entriesOf(max).every(([name, most]) => limit(name) <= amountOf(most) && request(name) <= amountOf(most)) &&
    // A limit a millionth above is one that was rounded.
    entriesOf(maxLimitRequestRatio).every(([name, ratio]) => limit(name) <= request(name) * amountOf(ratio) * 1.000001)
  );
}

/** What the pod asks for in all; a sum that some container leaves open is left out. */
function sumsOf(spec: Fields, sidecar: { readonly requests: Amounts; readonly limits: Amounts }) {
  const native = listOf(spec.initContainers).filter(({ restartPolicy }) => restartPolicy === "Always");
  const amounts = [...listOf(spec.containers), ...native].map(({ resources }) => fieldsOf(resources));
  const sum = (kind: "requests" | "limits") => {
    const all = [...amounts.map((each) => fieldsOf(each[kind])), sidecar[kind]];
    const names = new Set(all.flatMap((each) => Object.keys(each)));
    const sums: Amounts = {};
    for (const name of names) {
      const values = all.map((each) => amountOf(each[name]));
      if (values.every((value) => !Number.isNaN(value))) sums[name] = String(values.reduce((a, b) => a + b, 0));
    }
    return sums;
  };
  return { requests: sum("requests"), limits: sum("limits") };
}

function entriesOf(amounts: Fields | undefined): [string, string][] {
  return Object.entries(fieldsOf(amounts)).flatMap(([name, amount]) =>
    Number.isNaN(amountOf(amount)) ? [] : [[name, String(amount)]],
  );
}

function isSame(requests: Amounts, limits: Amounts): boolean {
  const names = Object.keys(limits);
  return names.includes("cpu") && names.every((name) => requests[name] === limits[name]);
}

function larger(amount: string | undefined, least: string): string {
  return amount !== undefined && amountOf(amount) >= amountOf(least) ? amount : least;
}

function smaller(amount: string | undefined, most: string): string {
  return amount !== undefined && amountOf(amount) <= amountOf(most) ? amount : most;
}

function cpu(cores: number): string {
  return `${Math.ceil(cores * 1000)}m`;
}
