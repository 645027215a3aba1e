import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { onlineGate } from "../../src/api/labels.ts";
import { connect, type KubeClient } from "../../src/kube/client/client.ts";
import { type KubeObject, resources } from "../../src/kube/client/resource.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { imageNames, javaImage, nodeImage, whyNoJavaImage } from "../cluster/images-local.ts";
import { describeNode, type RealNode, startNode } from "../cluster/node.ts";

const namespace = "default";
const soon = { timeout: 30_000, interval: 200 };

interface Container {
  readonly name: string;
  readonly restartCount: number;
  readonly allocatedResources?: Readonly<Record<string, string>>;
  readonly resources?: { readonly requests?: Readonly<Record<string, string>> };
}

interface Pod extends KubeObject {
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
    readonly containerStatuses?: readonly Container[];
  };
}

interface TokenReview extends KubeObject {
  readonly status: {
    readonly authenticated?: boolean;
    readonly user?: { readonly username: string; readonly extra: Readonly<Record<string, readonly string[]>> };
    readonly error?: string;
  };
}

describeNode(
  "what a kubelet does with pods like ours",
  () => {
    let plane: ControlPlane;
    let node: RealNode;
    let client: KubeClient;
    beforeAll(async () => {
      plane = await startControlPlane();
      node = await startNode(plane);
      client = await connect({ kubeconfig: plane.kubeconfig, env: {} });
      await createGated();
    }, 900_000); // the first run on a machine builds
    afterAll(async () => {
      await node?.stop();
      await plane?.stop();
    });

    const get = (name: string) => client.get<Pod>(resources.pods, { namespace, name });
    const condition = async (name: string, type: string) =>
      (await get(name)).status.conditions?.find((each) => each.type === type)?.status;
    const setGate = (name: string, status: "True" | "False") =>
      client.patch(
        resources.pods,
        { namespace, name },
        "Strategic",
        { status: { conditions: [{ type: onlineGate, status, lastTransitionTime: new Date().toISOString() }] } },
        { subresource: "status" },
      );
    const main = async (name: string) =>
      (await get(name)).status.containerStatuses?.find((each) => each.name === "main");

    async function create(name: string, spec: object): Promise<void> {
      await client.create(resources.pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace, labels: { app: name } },
        spec: { automountServiceAccountToken: false, terminationGracePeriodSeconds: 2, ...spec },
      } as KubeObject);
    }

    /** A pod as the webhook leaves it: the gate, and a native sidecar that alone has the token. */
    async function createGated(): Promise<void> {
      const busybox = { image: imageNames.busybox, imagePullPolicy: "Never" };
      await create("gated", {
        shareProcessNamespace: true,
        readinessGates: [{ conditionType: onlineGate }],
        initContainers: [
          {
            ...busybox,
            name: "sidecar",
            restartPolicy: "Always",
            command: ["sleep", "1000000"],
            resources: { requests: { cpu: "10m", memory: "16Mi" } },
            volumeMounts: [{ name: "token", mountPath: "/token", readOnly: true }],
          },
        ],
        containers: [
          {
            ...busybox,
            name: "main",
            command: ["httpd", "-f", "-p", "8080"],
            resources: { requests: { cpu: "500m", memory: "256Mi" }, limits: { memory: "512Mi" } },
          },
        ],
        volumes: [
          {
            name: "token",
            projected: { sources: [{ serviceAccountToken: { audience: "forescale", path: "token" } }] },
          },
        ],
      });
    }

    it("makes a gated pod Ready when the condition is written, not before, and takes that back with it", async () => {
      await expect.poll(() => condition("gated", "ContainersReady"), soon).toBe("True");
      expect(await condition("gated", "Ready")).toBe("False");
      await setGate("gated", "True");
      await expect.poll(() => condition("gated", "Ready"), soon).toBe("True");
      await setGate("gated", "False");
      await expect.poll(() => condition("gated", "Ready"), soon).toBe("False");
      expect((await main("gated"))?.restartCount).toBe(0);
    });

    it("shows a sidecar the application's processes", async () => {
      const seen = await node.exec({ pod: "gated", container: "sidecar" }, ["ps", "-o", "comm,args"]);
      expect(seen).toMatch(/^httpd +httpd -f -p 8080$/m);
      expect(await node.pids({ pod: "gated", container: "main" })).toHaveLength(1);
    });

    it("shrinks requests in place, and grows them back", async () => {
      const resize = (requests: object) =>
        client.patch(
          resources.pods,
          { namespace, name: "gated" },
          "Strategic",
          { spec: { containers: [{ name: "main", resources: { requests } }] } },
          { subresource: "resize" },
        );
      for (const requests of [
        { cpu: "10m", memory: "16Mi" },
        { cpu: "500m", memory: "256Mi" },
      ]) {
        await resize(requests);
        const inForce = async () => (await main("gated"))?.resources?.requests;
        await expect.poll(inForce, soon).toEqual(requests);
        expect((await main("gated"))?.allocatedResources).toEqual(requests);
      }
      expect((await main("gated"))?.restartCount).toBe(0);
    });

    it("gives the sidecar a token that names its pod, for our audience only", async () => {
      const token = await node.exec({ pod: "gated", container: "sidecar" }, ["cat", "/token/token"]);
      const review = (audiences?: string[]) =>
        client.create<TokenReview>(resources.tokenReviews, {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenReview",
          metadata: {},
          spec: { token, audiences },
        } as unknown as TokenReview);
      const { status } = await review(["forescale"]);
      expect(status).toMatchObject({
        authenticated: true,
        user: { username: "system:serviceaccount:default:default" },
      });
      const { uid } = (await get("gated")).metadata;
      expect(status.user!.extra).toMatchObject({
        "authentication.kubernetes.io/pod-name": ["gated"],
        "authentication.kubernetes.io/pod-uid": [uid],
        "authentication.kubernetes.io/node-name": [node.name],
      });
      expect((await review()).status.authenticated).not.toBe(true);
      expect((await review(["another"])).status.authenticated).not.toBe(true);
      await expect(node.exec({ pod: "gated", container: "main" }, ["cat", "/token/token"])).rejects.toThrow(
        "No such file",
      );
    });

    it("runs the project as the released image does, and lets its pods reach a server on this host", async () => {
      await node.addImage((dir) => nodeImage(dir));
      const server = createServer((request, response) => response.end(`you are ${request.socket.remoteAddress}`));
      await new Promise<void>((resolve) => server.listen(0, node.hostAddress, resolve));
      try {
        const url = `http://${node.hostAddress}:${(server.address() as AddressInfo).port}`;
        const container = { name: "main", image: imageNames.node, imagePullPolicy: "Never" };
        const asks = `fetch("${url}").then((answer) => answer.text()).then(console.log)`;
        await create("fetches", {
          restartPolicy: "Never",
          containers: [{ ...container, command: ["node", "-e", asks] }],
        });
        await create("helps", { restartPolicy: "Never", containers: [{ ...container, args: ["serve", "--help"] }] });
        const phase = async (name: string) => (await get(name)).status.phase;
        for (const name of ["fetches", "helps"]) await expect.poll(() => phase(name), soon).toBe("Succeeded");
        const { podIP } = (await get("fetches")).status;
        expect(await node.logs({ pod: "fetches", container: "main" })).toBe(`you are ${podIP}\n`);
        expect(await node.logs({ pod: "helps", container: "main" })).toContain("forescale serve");
      } finally {
        server.close();
      }
    });

    it("runs Node and JVM applications that verify what they hold, and keeps them over its own death", async () => {
      await node.addImage(javaImage);
      const probe = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 1, failureThreshold: 60 };
      const programs = {
        "store-node": { image: imageNames.node, command: ["node", "/apps/checked-store.ts", "8080", "100"] },
        "store-java": { image: imageNames.java, args: ["-Xmx400m", "CheckedStore", "8080", "100"] },
      };
      for (const [name, program] of Object.entries(programs)) {
        const container = { ...program, name: "main", imagePullPolicy: "Never", readinessProbe: probe };
        await create(name, { containers: [container], securityContext: { runAsUser: 1000 } });
      }
      const ask = async (name: string) => {
        const answer = await fetch(`http://${(await get(name)).status.podIP}:8080/check`);
        return (await answer.json()) as { ok: boolean; instance: string; rows: number };
      };
      const before = new Map<string, string>();
      for (const name of Object.keys(programs)) {
        await expect.poll(() => condition(name, "Ready"), { ...soon, timeout: 60_000 }).toBe("True");
        const answer = await ask(name);
        expect(answer).toMatchObject({ ok: true, rows: 51_200 });
        before.set(name, answer.instance);
        expect(await node.logs({ pod: name, container: "main" })).toContain("filled 100 MiB");
        expect((await node.memory({ pod: name, container: "main" })).anonymous).toBeGreaterThan(100 << 20);
      }

      await node.kill("kubelet");
      await node.kill("containerd");
      await sleep(500);
      await node.start("containerd");
      await node.start("kubelet");
      for (const name of Object.keys(programs)) {
        expect(await ask(name)).toMatchObject({ ok: true, instance: before.get(name) });
        expect((await main(name))?.restartCount).toBe(0);
      }
    });
  },
  whyNoJavaImage,
);
