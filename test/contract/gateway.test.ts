import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ServerMessage, SidecarReport } from "../../src/pods/sidecar-protocol.ts";
import type { ClusterServer } from "../../src/serve/cluster-server.ts";
import { openStream, type ServerStream } from "../../src/sidecar/stream.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { waitFor } from "../cluster/processes.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { installServe, type Rig } from "./serve-rig.ts";

describeControlPlane("the sidecars' gateway with a real API server's tokens", () => {
  let plane: ControlPlane;
  let rig: Rig;
  let server: ClusterServer;
  const streams: ServerStream[] = [];

  beforeAll(async () => {
    plane = await startControlPlane();
    rig = await installServe(plane);
    server = await rig.startServer(rig.addresses[0]);
  }, 900_000);
  afterAll(async () => {
    for (const stream of streams) stream.close();
    await server?.close({ drainMs: 0 });
    await plane?.stop();
  });

  async function addPod(name: string): Promise<void> {
    await rig.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default", labels: { "forescale.io/inject": "standby" } },
      spec: {
        readinessGates: [{ conditionType: "forescale.io/online" }],
        containers: [{ name: "app", image: "app" }],
        tolerations: [{ operator: "Exists" }],
      },
    });
  }
  const podToken = async (name: string, audience: string) => {
    const { uid } = (await podOf(name)).metadata;
    const bound = ["--bound-object-kind=Pod", `--bound-object-name=${name}`, `--bound-object-uid=${uid}`];
    return (
      await plane.kubectl(["create", "token", "default", "-n", "default", `--audience=${audience}`, ...bound])
    ).trim();
  };
  const podOf = async (name: string) =>
    JSON.parse(await plane.kubectl(["get", "pod", name, "-n", "default", "-o", "json"]));
  const conditionOf = async (name: string) =>
    (await podOf(name)).status.conditions?.find(({ type }: { type: string }) => type === "forescale.io/standby");
  const setGate = (name: string, status: string) =>
    plane.kubectl(
      ["patch", "pod", name, "-n", "default", "--subresource=status", "--type=strategic", "-p"].concat(
        JSON.stringify({ status: { conditions: [{ type: "forescale.io/online", status }] } }),
      ),
    );

  async function sidecar(token: string, first: SidecarReport = { type: "report", state: "Online" }) {
    const { ca, servername, port, host } = await rig.peerOf(server);
    const heard: ServerMessage[] = [];
    const troubles: string[] = [];
    const stream = openStream({
      server: new URL(`https://${host}:${port}`),
      serverName: servername,
      authorities: () => ca,
      token: () => token,
      onMessage: (message) => heard.push(message),
      onOpen: () => stream.send(first),
      onTrouble: (why) => troubles.push(why),
      firstWaitMs: 100,
    });
    streams.push(stream);
    const wish = () => heard.findLast((message) => message.type === "want")?.state;
    return { stream, heard, troubles, wish };
  }

  it("passes the wish of labels and gate to the pod's sidecar, and its reports to the pod", async () => {
    await addPod("web");
    const { stream, wish, heard } = await sidecar(await podToken("web", "forescale"));
    await waitFor("the first wish", async () => wish() === "Online");
    expect(heard[0]).toMatchObject({ type: "authorities", pem: expect.stringContaining("BEGIN CERTIFICATE") });
    await waitFor("the condition", async () => (await conditionOf("web"))?.reason === "Online");
    await setGate("web", "False");
    await plane.kubectl(["label", "pod", "web", "-n", "default", "forescale.io/pod-state=Standby"]);
    await waitFor("the wish to freeze", async () => wish() === "Standby");
    stream.send({ type: "report", state: "Standby", mode: "Image", savedBytes: 300 * 2 ** 20 });
    await waitFor("the condition", async () => (await conditionOf("web"))?.status === "True");
    expect(await conditionOf("web")).toMatchObject({
      reason: "Image",
      message: "frozen, 300 MiB of memory given back",
      lastTransitionTime: expect.stringMatching(/Z$/),
    });
    // Whoever sets the gate wakes the pod, whatever its label says.
    await setGate("web", "True");
    await waitFor("the wish to wake", async () => wish() === "Online");
    stream.send({ type: "report", state: "Online" });
    await waitFor("the condition", async () => (await conditionOf("web"))?.status === "False");
  }, 120_000);

  it("takes a token only for its audience, and bound to a pod that it knows", async () => {
    await addPod("db");
    const unbound = (
      await plane.kubectl(["create", "token", "default", "-n", "default", "--audience=forescale"])
    ).trim();
    for (const [token, says] of [
      [await podToken("db", "somebody-else"), /401: the API server does not know the token|401: the token is not for/],
      [unbound, /401: the token is not bound to a pod/],
      ["x.y.z", /401: the API server does not know the token/],
    ] as const) {
      const { troubles, heard } = await sidecar(token);
      await waitFor("the refusal", async () => troubles.length > 0);
      expect(troubles[0]).toMatch(says);
      expect(troubles[0]).not.toContain(token);
      expect(heard).toEqual([]);
    }
  }, 60_000);

  it("ends the stream of a pod that is gone, and refuses its token", async () => {
    await addPod("brief");
    const { wish, troubles } = await sidecar(await podToken("brief", "forescale"));
    await waitFor("the wish", async () => wish() === "Online");
    await plane.kubectl(["delete", "pod", "brief", "-n", "default", "--grace-period=0", "--force"]);
    await waitFor("the end", async () => troubles.length > 0);
    await waitFor("the refusal", async () => troubles.some((each) => /401|503/.test(each)));
  }, 60_000);

  describe("when the server goes and another comes", () => {
    it("the sidecar goes on with that one, and says again what is", async () => {
      await addPod("steady");
      const first = await sidecar(await podToken("steady", "forescale"));
      await waitFor("the wish", async () => first.wish() === "Online");
      await server.close({ drainMs: 0 });
      expect((await conditionOf("steady")).reason).toBe("Online"); // what was said stays
      server = await rig.startServer(rig.addresses[1]);
      const second = await sidecar(await podToken("steady", "forescale"), {
        type: "report",
        state: "Failed",
        message: "no space",
      });
      await waitFor("the wish", async () => second.wish() === "Online");
      await waitFor("the condition", async () => (await conditionOf("steady"))?.reason === "StandbyFailed");
    }, 60_000);
  });
});
