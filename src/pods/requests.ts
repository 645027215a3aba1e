import { requestsAnnotation } from "../api/labels.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { StandbyMode } from "./sidecar-protocol.ts";

/** Requests by container, then by resource: quantities as they are written. */
export type PodRequests = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What is read of a pod to resize it in place. */
export interface ResizablePod {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly containers?: readonly {
      readonly name: string;
      readonly resources?: { readonly requests?: Readonly<Record<string, string>> };
      readonly resizePolicy?: readonly { readonly resourceName: string; readonly restartPolicy: string }[];
    }[];
  };
  readonly status?: {
    readonly qosClass?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
    readonly containerStatuses?: readonly {
      readonly name?: string;
      readonly allocatedResources?: Readonly<Record<string, string>>;
    }[];
  };
}

/** What a frozen container still asks for: enough to wake with, and something, so that the pod's QoS class stays Burstable. */
export const frozenRequests = { cpu: "10m", memory: "64Mi" } as const;

/** What a pod asks for, of what can be resized. */
export function presentRequests(pod: ResizablePod): PodRequests {
  return requestsWhere(pod, () => true);
}

/**
 * The requests of a frozen pod: CPU always, memory where its image is on disk. Limits are never lowered, as waking would
 * race the kernel.
 *
 * @returns what differs from `from`, by container; empty where nothing can be lowered: pods that are not Burstable, whose
 *   class a change would break, and containers that a change would restart
 */
export function loweredRequests(pod: ResizablePod, mode: StandbyMode, from: PodRequests): PodRequests {
  if (pod.status?.qosClass !== "Burstable") return {};
  const lowered = requestsWhere(pod, ({ resizePolicy }, resource) => {
    const restarts = resizePolicy?.some(
      (each) => each.resourceName === resource && each.restartPolicy === "RestartContainer",
    );
    return !restarts && (resource === "cpu" || (resource === "memory" && mode === "Image"));
  });
  return mapRequests(lowered, (container, resource) => {
    const before = from[container]?.[resource];
    const floor = frozenRequests[resource as keyof typeof frozenRequests];
    return before !== undefined && readQuantity(before) > readQuantity(floor) ? floor : undefined;
  });
}

/** What a pod asked for before it was lowered; undefined where it was not. @throws never: a spoilt annotation is none */
export function requestsBefore({ metadata }: ResizablePod): PodRequests | undefined {
  try {
    const read: unknown = JSON.parse(metadata.annotations?.[requestsAnnotation] ?? "");
    if (typeof read !== "object" || read === null || Array.isArray(read)) return undefined;
    const isGood = Object.values(read).every(
      (each) =>
        typeof each === "object" &&
        each !== null &&
        Object.values(each).every((quantity) => typeof quantity === "string" && isReadable(quantity)),
    );
    return isGood ? (read as PodRequests) : undefined;
  } catch {
    return undefined;
  }
}

/** `wanted` without what the pod asks for already. */
export function requestChanges(pod: ResizablePod, wanted: PodRequests): PodRequests {
  const present = presentRequests(pod);
  return mapRequests(wanted, (container, resource, quantity) => {
    const now = present[container]?.[resource];
    return now !== undefined && readQuantity(now) === readQuantity(quantity) ? undefined : quantity;
  });
}

/** Body of a strategic merge patch of `pods/resize`. */
export function resizePatch(requests: PodRequests): object {
  const containers = Object.entries(requests).map(([name, each]) => ({ name, resources: { requests: each } }));
  return { spec: { containers } };
}

/** How a resize stands. `Deferred`: the node has no room now; `Infeasible`: it never will. */
export type ResizeState = "Granted" | "Pending" | "Deferred" | "Infeasible";

/** Whether the kubelet has given a pod what it asks for. */
export function resizeState(pod: ResizablePod, wanted: PodRequests): ResizeState {
  const pending = pod.status?.conditions?.find(({ type, status }) => type === "PodResizePending" && status === "True");
  const allocated = new Map(pod.status?.containerStatuses?.map((each) => [each.name, each.allocatedResources]));
  const isGranted = Object.entries(wanted).every(([container, requests]) =>
    Object.entries(requests).every(([resource, quantity]) => {
      const given = allocated.get(container)?.[resource];
      return given !== undefined && readQuantity(given) >= readQuantity(quantity);
    }),
  );
  if (isGranted) return "Granted";
  if (pending?.reason === "Infeasible") return "Infeasible";
  return pending ? "Deferred" : "Pending";
}

export function isEmpty(requests: PodRequests): boolean {
  return Object.keys(requests).length === 0;
}

type Container = NonNullable<NonNullable<ResizablePod["spec"]>["containers"]>[number];

function requestsWhere(
  { spec }: ResizablePod,
  keep: (container: Container, resource: string) => boolean,
): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const container of spec?.containers ?? [])
    for (const [resource, quantity] of Object.entries(container.resources?.requests ?? {}))
      if ((resource === "cpu" || resource === "memory") && keep(container, resource))
        found[container.name] = { ...found[container.name], [resource]: quantity };
  return found;
}

function mapRequests(
  requests: PodRequests,
  change: (container: string, resource: string, quantity: string) => string | undefined,
): PodRequests {
  const found: Record<string, Record<string, string>> = {};
  for (const [container, each] of Object.entries(requests))
    for (const [resource, quantity] of Object.entries(each)) {
      const next = change(container, resource, quantity);
      if (next !== undefined) found[container] = { ...found[container], [resource]: next };
    }
  return found;
}

function isReadable(quantity: string): boolean {
  try {
    readQuantity(quantity);
    return true;
  } catch {
    return false;
  }
}
