import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Registry } from "prom-client";
import { connect } from "../../src/kube/client/client.ts";
import { createSchedule } from "../../src/portrait/schedule.ts";
import { type ClusterServer, type ClusterServerOptions, serveCluster } from "../../src/serve/cluster-server.ts";
import type { ControlPlane } from "../cluster/control-plane.ts";
import { type HostService, hostService } from "../cluster/host-service.ts";
import type { Peer } from "../unit/serve/dial.ts";

const manifests = join(import.meta.dirname, "../../manifests");
const namespace = "forescale-system";
const serviceName = "forescale-server";
const servedName = `${serviceName}.${namespace}.svc`;

export const externalMetrics = "/apis/external.metrics.k8s.io/v1beta1";

/** How a server differs from the usual. */
export type ServerChoices = Pick<ClusterServerOptions, "lifetimes" | "checkEveryMs" | "sidecar">;

/** Our servers behind a real API server, with the rights of their manifests and no more. */
export interface Rig {
  readonly service: HostService;
  readonly addresses: readonly string[];
  /** Starts a server on one of the addresses, waits until it is ready, and lets the Service name it. */
  startServer(address: string, options?: ServerChoices): Promise<ClusterServer>;
  /** What readiness probes do: the Service names these servers only. */
  route(...servers: readonly ClusterServer[]): Promise<void>;
  /** How to talk to a server without the API server. */
  peerOf(server: Pick<ClusterServer, "address">): Promise<Peer>;
  /** Applies objects. */
  apply(...objects: readonly object[]): Promise<void>;
  /** Makes an IHPA with a decision that was made just now, or some time ago. */
  decide(name: string, total: number, options?: { spec?: object; ageMs?: number }): Promise<void>;
  /** A kubeconfig with the rights of the manifests' server, for a server that is a program of its own. */
  serverKubeconfig(): Promise<string>;
  /** A token of a service account. */
  token(serviceAccount: string, inNamespace?: string): Promise<string>;
}

/** Installs what the servers need: the kinds, the rights, the registrations and a Service with addresses of this host. */
export async function installServe(plane: ControlPlane): Promise<Rig> {
  const { kubectl } = plane;
  const apply = async (...objects: readonly object[]) => {
    const list = { apiVersion: "v1", kind: "List", items: objects };
    await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], list);
  };
  const crds = readdirSync(join(manifests, "crds")).map((file) => join("crds", file));
  for (const file of ["namespace.yaml", ...crds, "rbac.yaml"])
    await kubectl(["apply", "--server-side", "-f", join(manifests, file)]);
  await apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: serviceName, namespace } });
  const addresses = await plane.hostAddresses(2);
  const service = await hostService(kubectl, { name: serviceName, namespace, targets: [] });
  for (const file of ["apiservice.yaml", "validating-webhook.yaml"])
    await kubectl(["apply", "--server-side", "-f", join(manifests, file)]);

  const token = async (serviceAccount: string, inNamespace = "default") =>
    (await kubectl(["create", "token", serviceAccount, "-n", inNamespace, "--duration=1h"])).trim();
  let kubeconfigs = 0;
  const serverKubeconfig = async () => {
    // One each: servers start side by side, and one would read while the next writes.
    const path = join(plane.dir, `server-${++kubeconfigs}.kubeconfig`);
    writeTokenKubeconfig(plane, path, await token(serviceName, namespace));
    return path;
  };
  const route = (...servers: readonly ClusterServer[]) =>
    service.setTargets(servers.map(({ address: { address, port } }) => ({ address, port })));

  return {
    service,
    addresses,
    apply,
    token,
    serverKubeconfig,
    route,
    async startServer(address, options = {}) {
      const client = await connect({ kubeconfig: await serverKubeconfig(), env: {} });
      const server = await serveCluster({
        client,
        host: address,
        port: 0,
        namespace,
        serviceName,
        registry: new Registry(),
        readSchedule: createSchedule,
        checkEveryMs: 500,
        ...options,
      });
      while (!server.isReady) await new Promise((resolve) => setTimeout(resolve, 20));
      return server;
    },
    async peerOf({ address: { address, port } }) {
      const secret = JSON.parse(
        await kubectl(["get", "secret", "forescale-server-tls", "-n", namespace, "-o", "json"]),
      );
      const ca = Buffer.from(secret.data["ca-bundle.crt"], "base64").toString("utf8");
      return { host: address, port, ca, servername: servedName };
    },
    async decide(name, total, { spec = {}, ageMs = 0 } = {}) {
      const metadata = { name, namespace: "default" };
      const apiVersion = "autoscaling.forescale.io/v1alpha1";
      const kind = "IntelligentHorizontalPodAutoscaler";
      const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name };
      const metrics = [
        {
          name: "load",
          type: "External",
          external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: "1" } },
        },
      ];
      await apply({ apiVersion, kind, metadata, spec: { scaleTargetRef, maxReplicas: 100, metrics, ...spec } });
      const time = new Date(Date.now() - ageMs).toISOString();
      const counts = { online: total, cutoff: 0, standby: 0, total };
      const decision = {
        time,
        ...counts,
        rung: "Fresh",
        reason: "Predicted",
        load: [{ name: "load", value: total * 1.5 }],
      };
      const patch = JSON.stringify({ status: { decision } });
      await kubectl(["patch", "ihpa", name, "-n", "default", "--subresource=status", "--type=merge", "-p", patch]);
    },
  };
}

function writeTokenKubeconfig(plane: ControlPlane, path: string, token: string): void {
  const authority = Buffer.from(plane.pki.clusterAuthority.certificate).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: plane.url, "certificate-authority-data": authority } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
}
