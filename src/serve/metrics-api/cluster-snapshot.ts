import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { group, type Kind, kinds, version } from "../../api/kinds.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import type { Resource } from "../../kube/client/resource.ts";
import { Scales } from "../../kube/client/scale.ts";
import type { Log } from "../../kube/log.ts";
import { type Clock, sleep } from "../../kube/loop/clock.ts";
import type { KubeMetrics } from "../../kube/metrics.ts";
import { Reflector } from "../../kube/watch/reflector.ts";
import type { MemorySnapshot } from "./snapshot.ts";

export interface FeedOptions {
  readonly client: KubeClient;
  readonly snapshot: MemorySnapshot;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: KubeMetrics;
  readonly signal: AbortSignal;
}

/** Keeps a snapshot equal to the cluster's IHPAs and portraits. */
export interface Feed {
  /** Whether both kinds have been read whole, once. */
  readonly hasSynced: boolean;
  /** Ends when the signal is aborted. */
  readonly done: Promise<void>;
}

const targetEveryMs = 10_000;
const targetsAtOnce = 5;

/** Starts feeding; what runs ends with the signal. */
export function feedSnapshot({ client, snapshot, clock, log, metrics, signal }: FeedOptions): Feed {
  const shared = { client, clock, log, metrics, transform: slim };
  const ihpas = new Reflector<IntelligentHorizontalPodAutoscaler>({
    ...shared,
    resource: resourceOf("IntelligentHorizontalPodAutoscaler"),
    resyncMs: 0,
  });
  const portraits = new Reflector<HorizontalPortrait>({
    ...shared,
    resource: resourceOf("HorizontalPortrait"),
    resyncMs: 0,
  });
  ihpas.onChange(({ type, object }) => {
    if (type === "Deleted") snapshot.deleteIhpa(object.metadata.namespace ?? "", object.metadata.name);
    else snapshot.setIhpa(object);
  });
  portraits.onChange(({ type, object }) => {
    if (type === "Deleted") snapshot.deletePortrait(object.metadata.namespace ?? "", object.metadata.name);
    else snapshot.setPortrait(object);
  });
  const runs = [ihpas.start(signal), portraits.start(signal), readTargets()];

  /** In the background and only while decisions are stale: no request waits for it. */
  async function readTargets(): Promise<void> {
    const scales = new Scales(client, clock);
    while (!signal.aborted) {
      const aging = [...snapshot.aging()];
      for (let i = 0; i < aging.length && !signal.aborted; i += targetsAtOnce)
        await Promise.all(aging.slice(i, i + targetsAtOnce).map((ihpa) => readTarget(scales, ihpa)));
      await sleep(clock, targetEveryMs, signal).catch(() => {});
    }
  }

  async function readTarget(scales: Scales, ihpa: IntelligentHorizontalPodAutoscaler): Promise<void> {
    const { namespace = "", name } = ihpa.metadata;
    const { apiVersion = "apps/v1", kind, name: target } = ihpa.spec.scaleTargetRef;
    try {
      const { replicas } = await scales.read(
        { apiVersion, kind, namespace, name: target },
        { signal, timeoutMs: 5000 },
      );
      snapshot.setTarget(namespace, name, replicas);
    } catch (error) {
      if (!signal.aborted)
        log.warn("the scale of a stale object's target could not be read", {
          ihpa: `${namespace}/${name}`,
          error: (error as Error).message,
        });
    }
  }

  return {
    get hasSynced() {
      return ihpas.hasSynced && portraits.hasSynced;
    },
    done: Promise.all(runs).then(() => {}),
  };
}

function resourceOf(kind: Kind): Resource {
  const { plural, namespaced } = kinds[kind];
  return { group, version, plural, kind, namespaced };
}

const bulkyAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

/** Leaves out what no answer needs. */
function slim<T extends IntelligentHorizontalPodAutoscaler | HorizontalPortrait>(object: T): T {
  const { annotations, ...metadata } = object.metadata;
  if (!annotations || !Object.hasOwn(annotations, bulkyAnnotation)) return object;
  const { [bulkyAnnotation]: _, ...kept } = annotations;
  return { ...object, metadata: { ...metadata, annotations: kept } };
}
