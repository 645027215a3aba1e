import { readQuantity } from "../../api/values/quantity.ts";
import type { PodRequests } from "../requests.ts";

type Amounts = Readonly<Record<string, string>>;

/** What is read of a pod to reckon what it takes of its node. */
export interface PlacedPod {
  readonly metadata: { readonly uid?: string };
  readonly spec?: {
    readonly nodeName?: string;
    readonly initContainers?: readonly {
      readonly name: string;
      readonly restartPolicy?: string;
      readonly resources?: { readonly requests?: Amounts };
    }[];
    readonly containers?: readonly { readonly name: string; readonly resources?: { readonly requests?: Amounts } }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: readonly { readonly name?: string; readonly allocatedResources?: Amounts }[];
  };
}

const resources = ["cpu", "memory"] as const;
type Taken = Record<(typeof resources)[number], number>;

/**
 * Predicts how kubelets answer pods that ask for more, so that no pod has to wait for it. Of each container the larger of
 * what it asks for and what it was given counts, as it does for the scheduler.
 */
export class NodeRooms {
  readonly #allocatable: (node: string) => Amounts | undefined;
  readonly #pods: () => readonly PlacedPod[];
  /** By node: of all its pods, and of what was promised since. */
  #taken: Map<string, Taken> | undefined;

  /**
   * @param pods all of the cluster; asked once, and only when it matters
   * @param allocatable of a node; undefined where it is not known
   */
  constructor(pods: () => readonly PlacedPod[], allocatable: (node: string) => Amounts | undefined) {
    this.#pods = pods;
    this.#allocatable = allocatable;
  }

  /**
   * Whether a pod's node has room for what it asks for then; if so, that room is promised to it.
   *
   * @param requests by container; of others what they have counts
   */
  take(pod: PlacedPod, requests: PodRequests): boolean {
    const node = pod.spec?.nodeName;
    const room = node === undefined ? undefined : this.#allocatable(node);
    if (node === undefined || room === undefined) return false;
    this.#taken ??= sumByNode(this.#pods());
    const taken = this.#taken.get(node) ?? { cpu: 0, memory: 0 };
    const [now, then] = [takenBy(pod), takenBy(pod, requests)];
    const fits = resources.every((each) => {
      const more = then[each] - now[each];
      return more <= 0 || (room[each] !== undefined && taken[each] + more <= amount(room[each]));
    });
    if (fits) this.#taken.set(node, added(taken, { cpu: then.cpu - now.cpu, memory: then.memory - now.memory }));
    return fits;
  }
}

function sumByNode(pods: readonly PlacedPod[]): Map<string, Taken> {
  const sums = new Map<string, Taken>();
  for (const pod of pods) {
    const { spec, status } = pod;
    if (spec?.nodeName === undefined || status?.phase === "Succeeded" || status?.phase === "Failed") continue;
    sums.set(spec.nodeName, added(sums.get(spec.nodeName) ?? { cpu: 0, memory: 0 }, takenBy(pod)));
  }
  return sums;
}

/** What a pod takes; with requests, what it would take with these. */
function takenBy({ spec = {}, status = {} }: PlacedPod, requests: PodRequests = {}): Taken {
  const given = new Map(status.containerStatuses?.map((each) => [each.name, each.allocatedResources]));
  const of = (resource: keyof Taken): number => {
    const init = (spec.initContainers ?? []).map((each) => ({
      stays: each.restartPolicy === "Always",
      amount: amount(each.resources?.requests?.[resource]),
    }));
    const staying = init.filter(({ stays }) => stays).reduce((sum, each) => sum + each.amount, 0);
    const running = (spec.containers ?? []).reduce((sum, { name, resources: own }) => {
      const asked = amount(requests[name]?.[resource] ?? own?.requests?.[resource]);
      return sum + Math.max(asked, amount(given.get(name)?.[resource]));
    }, staying);
    return Math.max(running, ...init.map((each) => each.amount + (each.stays ? 0 : staying)));
  };
  return { cpu: of("cpu"), memory: of("memory") };
}

function added(a: Taken, b: Taken): Taken {
  return { cpu: a.cpu + b.cpu, memory: a.memory + b.memory };
}

function amount(quantity: string | undefined): number {
  return quantity === undefined ? 0 : readQuantity(quantity);
}
