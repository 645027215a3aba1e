import { amountOf, type Fields, fieldsOf, listOf } from "./pod-fields.ts";

type Amounts = Readonly<Record<string, string>>;

/** What a container asks for; absent where it asks for nothing. */
export interface Resources {
  readonly requests?: Amounts;
  readonly limits?: Amounts;
}

const idle: Amounts = { cpu: "10m", memory: "48Mi" };
/** Freezing takes a core for a moment, and memory for its buffers. */
const most: Amounts = { cpu: "1", memory: "256Mi" };
const guaranteed: Amounts = { cpu: "100m", memory: "128Mi" };

/** An image is as large as the memory that it holds; the rest is for the journal and logs. */
const imagePerMemory = 1.25;

/**
 * Resources of the sidecar: little, and so that the pod keeps its QoS class, and that a quota which demands limits of
 * every container is met where the pod met it before.
 *
 * @returns a text, with its remedy, where the pod's own limits leave no room for an image of its memory
 */
export function sidecarResources(spec: Fields): Resources | string | undefined {
  const containers = listOf(spec.containers).map(amountsOf);
  const all = [...containers, ...listOf(spec.initContainers).map(amountsOf)];
  // What is set for the pod as a whole bounds the sum of its containers': ours takes its share of that.
  const isSetForPod = Object.values(fieldsOf(spec.resources)).some((each) => Object.keys(fieldsOf(each)).length > 0);
  if (isSetForPod) return undefined;
  const storage = storageOf(containers);
  if (typeof storage === "string") return storage;
  const isBestEffort = all.every(({ requests, limits }) =>
    [requests, limits].every(({ cpu, memory }) => cpu === undefined && memory === undefined),
  );
  if (isBestEffort) return storage && { requests: storage.requests, limits: storage.limits };
  const isGuaranteed = all.every(({ requests, limits }) =>
    ["cpu", "memory"].every((name) => isEqual(requests[name] ?? limits[name], limits[name])),
  );
  const [requests, limits] = isGuaranteed
    ? [guaranteed, guaranteed]
    : [idle, containers.every((each) => each.limits.cpu !== undefined) ? most : { memory: most.memory }];
  return { requests: { ...requests, ...storage?.requests }, limits: { ...limits, ...storage?.limits } };
}

function amountsOf(container: Fields) {
  const { requests, limits } = fieldsOf(container.resources);
  return { requests: fieldsOf(requests), limits: fieldsOf(limits) };
}

/** A limit on local storage counts for the pod as a whole, and a pod above it is evicted: the image needs room in it. */
function storageOf(containers: readonly { readonly limits: Fields }[]) {
  const name = "ephemeral-storage";
  if (containers.every(({ limits }) => limits[name] === undefined)) return undefined;
  const bytes = containers.reduce((sum, { limits }) => sum + amountOf(limits.memory), 0);
  if (Number.isNaN(bytes))
    return "limits ephemeral-storage but not the memory of each container, so that the room for its image is unknown; set limits.memory";
  const room = String(Math.ceil(bytes * imagePerMemory));
  // A request is the limit unless it is given.
  return { requests: { [name]: "16Mi" }, limits: { [name]: room } };
}

function isEqual(left: unknown, right: unknown): boolean {
  const [a, b] = [amountOf(left), amountOf(right)];
  return a > 0 && a === b;
}
