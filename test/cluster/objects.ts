import type { Kubectl } from "./kubectl.ts";
import { waitFor } from "./processes.ts";

/** Seconds between a pod's start on a pretend node and its containers being ready; see stages.yaml. */
export const startupSecondsAnnotation = "test.forescale.io/startup-seconds";

/** Adds a node that kwok plays, and waits until it is Ready. */
export async function addFakeNode(
  kubectl: Kubectl,
  name: string,
  capacity: { cpu?: string; memory?: string; pods?: number } = {},
): Promise<void> {
  const { cpu = "64", memory = "256Gi", pods = 1000 } = capacity;
  const resources = { cpu, memory, pods: String(pods) };
  await kubectl(["create", "-f", "-"], {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
      annotations: { "kwok.x-k8s.io/node": "fake" },
    },
    status: { capacity: resources, allocatable: resources, nodeInfo: { operatingSystem: "linux" } },
  });
  await kubectl(["wait", `node/${name}`, "--for=condition=Ready", "--timeout=30s"]);
}

/** A workload whose pods only pretend to run. */
export interface FakeDeployment {
  readonly name: string;
  readonly namespace?: string;
  readonly replicas: number;
  /** How long each pod takes from its start to Ready; 0 unless given. */
  readonly startupSeconds?: number;
  /** On the Deployment and its pods, beside `app: NAME`. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Requests of its one container, CPU 100m and memory 64Mi unless given. */
  readonly requests?: Readonly<Record<string, string>>;
  /** Merged over the pod's spec, for readiness gates and the like. */
  readonly podSpec?: Readonly<Record<string, unknown>>;
}

/** Applies a Deployment; does not wait for its pods. */
export async function addDeployment(kubectl: Kubectl, deployment: FakeDeployment): Promise<void> {
  const { name, namespace = "default", replicas, startupSeconds = 0, podSpec } = deployment;
  const labels = { ...deployment.labels, app: name };
  const annotations = { ...deployment.annotations, [startupSecondsAnnotation]: String(startupSeconds) };
  const requests = deployment.requests ?? { cpu: "100m", memory: "64Mi" };
  const container = { name: "main", image: "localhost/pretend", resources: { requests } };
  await kubectl(["apply", "--server-side", "--field-manager=cluster-fixture", "-f", "-"], {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels, annotations }, spec: { containers: [container], ...podSpec } },
    },
  });
}

/** Waits until the Deployment counts this many ready pods, and gives the milliseconds that took. */
export async function waitForReady(
  kubectl: Kubectl,
  deployment: { name: string; namespace?: string; ready: number; timeoutMs?: number },
): Promise<number> {
  const { name, namespace = "default", ready, timeoutMs } = deployment;
  const startedMs = performance.now();
  const query = ["get", "deployment", name, "-n", namespace, "-o", "jsonpath={.status.readyReplicas}"];
  const isThere = async () => Number((await kubectl(query)) || 0) === ready;
  await waitFor(`${ready} ready pods of ${namespace}/${name}`, isThere, { timeoutMs, everyMs: 200 });
  return performance.now() - startedMs;
}
