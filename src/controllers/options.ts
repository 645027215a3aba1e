import type { Registry } from "prom-client";
import type { AddressPolicy } from "../collect/http/address.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { Log } from "../kube/log.ts";

export interface ControllerOptions {
  readonly client: KubeClient;
  /** Where the Lease and the Secrets of metric sources are. */
  readonly namespace: string;
  /** Unique to this process. */
  readonly identity: string;
  /** File of the embedded history; without it, metrics without a store have no history. */
  readonly historyFile: string | undefined;
  /** Time between two decisions for a workload. */
  readonly tickMs: number;
  /** Sync period of the cluster's HPA. */
  readonly syncSeconds: number;
  /** Number of forecast threads. */
  readonly workers: number;
  /** Addresses that metric sources and external programs may have. */
  readonly addresses: AddressPolicy;
  /** External programs that objects may name: URL by name. */
  readonly externalPrograms: ReadonlyMap<string, string>;
  readonly registry: Registry;
  readonly log: Log;
  /** Called once the Lease is held and the caches are filled. */
  readonly onReady?: () => void;
}
