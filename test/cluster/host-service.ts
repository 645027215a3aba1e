import type { Kubectl } from "./kubectl.ts";

/** A server on this host: one of the control plane's `hostAddresses` and its port. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** A Service in front of servers that run as processes on this host. */
export interface HostService {
  /** Replaces the targets, as readiness probes would when a replica comes or goes. */
  setTargets(targets: readonly Target[]): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Makes (or takes over) a Service without selector and its EndpointSlices, one slice for each port among the targets.
 *
 * @param service.port the Service's own port, which an APIService or webhook names; 443 unless given
 */
export async function hostService(
  kubectl: Kubectl,
  service: { name: string; namespace: string; port?: number; targets: readonly Target[] },
): Promise<HostService> {
  const { name, namespace, port = 443 } = service;
  const metadata = { name, namespace };
  const apply = (...items: object[]) =>
    kubectl(["apply", "--server-side", "--force-conflicts", "--field-manager=cluster-fixture", "-f", "-"], {
      apiVersion: "v1",
      kind: "List",
      items,
    });
  await apply({ apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ name: "https", port }] } });

  async function setTargets(targets: readonly Target[]): Promise<void> {
    const byPort = Map.groupBy(targets, (target) => target.port);
    const slices = [...byPort].map(([targetPort, group]) => ({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: `${name}-${targetPort}`,
        namespace,
        labels: { "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "cluster-fixture" },
      },
      addressType: "IPv4",
      ports: [{ name: "https", port: targetPort, protocol: "TCP" }],
      endpoints: group.map(({ address }) => ({ addresses: [address], conditions: { ready: true } })),
    }));
    if (slices.length > 0) await apply(...slices);
    const ours = `kubernetes.io/service-name=${name},endpointslice.kubernetes.io/managed-by=cluster-fixture`;
    const listed = await kubectl(["get", "endpointslices", "-n", namespace, "-l", ours, "-o", "name"]);
    const wanted = new Set(slices.map((slice) => `endpointslice.discovery.k8s.io/${slice.metadata.name}`));
    const old = listed.split("\n").filter((each) => each && !wanted.has(each));
    if (old.length > 0) await kubectl(["delete", "-n", namespace, "--wait=false", ...old]);
  }

  await setTargets(service.targets);
  return {
    setTargets,
    async remove() {
      await setTargets([]);
      await kubectl(["delete", "service", name, "-n", namespace, "--ignore-not-found"]);
    },
  };
}
