import { existsSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { whyNoHostAddresses } from "./host-addresses.ts";
import { type HostService, hostService } from "./host-service.ts";
import { addDeployment, addFakeNode, waitForReady } from "./objects.ts";
import { describeControlPlane, isStrict } from "./suite.ts";

describeControlPlane("control plane fixture", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
    await addFakeNode(plane.kubectl, "node-1", { cpu: "8", memory: "32Gi" });
  }, 900_000); // the first run on a machine builds
  afterAll(() => plane?.stop());

  it("runs the version it claims", async () => {
    expect(JSON.parse(await plane.kubectl(["get", "--raw", "/version"]))).toMatchObject({ major: "1", minor: "35" });
  });

  it("makes pods Ready after their startup seconds", async () => {
    await addDeployment(plane.kubectl, { name: "slow", replicas: 3, startupSeconds: 5 });
    const tookMs = await waitForReady(plane.kubectl, { name: "slow", ready: 3 });
    expect(tookMs).toBeGreaterThan(3500); // Kubernetes writes times in whole seconds
    expect(tookMs).toBeLessThan(12_000);
  });

  it("lets a readiness gate decide, as a kubelet does", async () => {
    const podSpec = { readinessGates: [{ conditionType: "example.com/online" }] };
    await addDeployment(plane.kubectl, { name: "gated", replicas: 1, podSpec });
    const pod = () => plane.kubectl(["get", "pods", "-l", "app=gated", "-o", "name"]);
    await expect.poll(pod).toMatch(/\S/);
    const name = (await pod()).trim();
    const condition = (type: string) =>
      plane.kubectl(["get", name, "-o", `jsonpath={.status.conditions[?(@.type=="${type}")].status}`]);
    const setGate = (status: string) => {
      const patch = { status: { conditions: [{ type: "example.com/online", status }] } };
      return plane.kubectl(["patch", name, "--subresource=status", "--patch", JSON.stringify(patch)]);
    };
    await expect.poll(() => condition("ContainersReady"), { timeout: 10_000 }).toBe("True");
    expect(await condition("Ready")).toBe("False");
    await setGate("True");
    await expect.poll(() => condition("Ready"), { timeout: 10_000 }).toBe("True");
    await setGate("False");
    await expect.poll(() => condition("Ready"), { timeout: 10_000 }).toBe("False");
  });

  it("knows users by certificates of its authority, and only valid ones", async () => {
    const whoAmI = async (user: Parameters<ControlPlane["kubeconfigFor"]>[0]) =>
      plane.kubectl(["--kubeconfig", await plane.kubeconfigFor(user), "auth", "whoami", "-o", "json"]);
    const tenant = JSON.parse(await whoAmI({ user: "alice", groups: ["team-a", "team-b"] }));
    expect(tenant.status.userInfo).toMatchObject({
      username: "alice",
      groups: ["team-a", "team-b", "system:authenticated"],
    });
    await expect(whoAmI({ user: "alice", expired: true })).rejects.toThrow("logged in");
    await expect(whoAmI({ user: "alice", usages: ["serverAuth"] })).rejects.toThrow("logged in");
    await expect(whoAmI({ user: "alice", ca: plane.pki.frontProxyAuthority })).rejects.toThrow("logged in");
  });

  it("comes back with its data after the API server was killed", async () => {
    await plane.kubectl(["create", "configmap", "kept"]);
    await plane.killApiserver();
    await expect(plane.kubectl(["get", "configmap", "kept"])).rejects.toThrow();
    await plane.startApiserver();
    await plane.kubectl(["get", "configmap", "kept"]);
  });

  it.skipIf(whyNoHostAddresses() && !isStrict())("reaches two replicas through the aggregator", async () => {
    const addresses = await plane.hostAddresses(2);
    const replicas = await Promise.all(addresses.map((address) => startExtension(plane, address)));
    let service: HostService | undefined;
    try {
      const targets = replicas.map(({ address, port }) => ({ address, port }));
      service = await hostService(plane.kubectl, { name: "extension", namespace: "default", targets });
      await register(plane);
      await expect.poll(() => askExtension(plane).catch(() => "no"), { timeout: 30_000 }).toContain("10.89.");
      const answered = new Set(await Promise.all(Array.from({ length: 16 }, () => askExtension(plane))));
      expect([...answered].toSorted()).toEqual(addresses.toSorted());

      // What probes do in a cluster: the replica that is gone leaves the slice.
      await replicas[0].stop();
      await service.setTargets(targets.slice(1));
      await expect.poll(() => askExtension(plane).catch(() => "no"), { timeout: 10_000 }).toBe(addresses[1]);
      for (let call = 0; call < 8; call++) expect(await askExtension(plane)).toBe(addresses[1]);
    } finally {
      await plane.kubectl(["delete", "apiservice", "v1.extension.example.com", "--ignore-not-found"]);
      await service?.remove();
      for (const replica of replicas) await replica.stop();
    }
  });

  it("stops without leaving anything behind", async () => {
    const pids = plane.pids();
    expect(pids).toHaveLength(5);
    const startedMs = performance.now();
    await plane.stop();
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
    expect(Object.keys(networkInterfaces()).filter((name) => name.startsWith(`fsc${process.pid}x`))).toEqual([]);
    if (process.env.FORESCALE_TEST_KEEP !== "1") expect(existsSync(plane.dir)).toBe(false);
  });
});

/** A server that tells its own address to whoever asks for its API group. */
async function startExtension(plane: ControlPlane, address: string) {
  const { certificate, key } = await plane.pki.servingCertificate({ dnsNames: ["extension.default.svc"] });
  const server: Server = createServer({ cert: certificate, key }, (_request, response) => {
    response.setHeader("content-type", "application/json");
    const list = { kind: "APIResourceList", apiVersion: "v1", groupVersion: "extension.example.com/v1", resources: [] };
    response.end(JSON.stringify({ ...list, address }));
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as { port: number };
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { address, port, stop };
}

async function register(plane: ControlPlane): Promise<void> {
  await plane.kubectl(["apply", "-f", "-"], {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: "v1.extension.example.com" },
    spec: {
      group: "extension.example.com",
      version: "v1",
      groupPriorityMinimum: 100,
      versionPriority: 100,
      caBundle: Buffer.from(plane.pki.clusterAuthority.certificate).toString("base64"),
      service: { name: "extension", namespace: "default" },
    },
  });
}

async function askExtension(plane: ControlPlane): Promise<string> {
  return JSON.parse(await plane.kubectl(["get", "--raw", "/apis/extension.example.com/v1"])).address;
}
