import { controllerLease } from "../../api/labels.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, resources } from "../../kube/client/resource.ts";
import type { Log } from "../../kube/log.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import { Reflector } from "../../kube/watch/reflector.ts";

interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
  };
}

/** Whoever sets readiness gates, as its Lease tells. */
export interface GateSetter {
  /** Whether the Lease is held and was renewed in time. */
  readonly isThere: boolean;
  /** Ends when the signal is aborted. */
  readonly done: Promise<void>;
}

export interface GateSetterOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const usualSeconds = 15;

/** Watches the controllers' Lease, so that the webhook knows from memory whether a gate would be set. */
export function watchGateSetter({ client, namespace, clock, log, signal }: GateSetterOptions): GateSetter {
  let spec: Lease["spec"];
  /** On our own clock. */
  let validUntilMs = Number.NEGATIVE_INFINITY;
  const reflector = new Reflector<Lease>({
    client,
    clock,
    log,
    resource: resources.leases,
    namespace,
    fieldSelector: `metadata.name=${controllerLease}`,
    resyncMs: 0,
  });
  reflector.onChange(({ type, object }) => {
    const before = spec;
    spec = type === "Deleted" ? undefined : object.spec;
    if (!spec?.renewTime || (before?.renewTime === spec.renewTime && before.holderIdentity === spec.holderIdentity))
      return;
    // One that is seen for the first time may be of long ago; any later one was renewed since.
    const ageMs = before ? 0 : Math.max(0, clock.wallMs() - Date.parse(spec.renewTime));
    validUntilMs = clock.monotonicMs() - ageMs + (spec.leaseDurationSeconds ?? usualSeconds) * 1000;
  });
  return {
    get isThere() {
      return Boolean(spec?.holderIdentity) && clock.monotonicMs() < validUntilMs;
    },
    done: reflector.start(signal),
  };
}
