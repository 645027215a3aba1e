import type { Registry } from "prom-client";
import type { AddressPolicy } from "../collect/http/address.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { Log } from "../kube/log.ts";

export interface ControllerOptions {
  readonly client: KubeClient;
  /** Where the Lease and the Secrets of metric sources are. */
  readonly namespace: string;
  /** Of this process alone. */
  readonly identity: string;
  /** File of the embedded history; without it, metrics without a store have no past. */
  readonly historyFile: string | undefined;
  /** Time between two decisions for a workload. */
  readonly tickMs: number;
  /** How often the cluster's HPA looks. */
  readonly syncSeconds: number;
  /** Threads that forecast. */
  readonly workers: number;
  /** Where metric sources and programs outside may stand. */
  readonly addresses: AddressPolicy;
  /** Programs outside that objects may name: URL by name. */
  readonly externalPrograms: ReadonlyMap<string, string>;
  readonly registry: Registry;
  readonly log: Log;
  /** Called once the Lease is held and the caches are filled. */
  readonly onReady?: () => void;
}
