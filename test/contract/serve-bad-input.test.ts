import { afterAll, beforeAll, expect, it } from "vitest";
import type { ClusterServer } from "../../src/serve/cluster-server.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Running, waitFor } from "../cluster/processes.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { rows, type World } from "../unit/serve/bad-input.ts";
import { dial, type Peer } from "../unit/serve/dial.ts";
import { externalMetrics, installServe, type Rig } from "./serve-rig.ts";
import { startUpstream, upstreamMetric } from "./serve-upstream.ts";

describeControlPlane("bad input, by a real API server's identities and beside the upstream library", () => {
  let plane: ControlPlane;
  let rig: Rig;
  let server: ClusterServer;
  let upstream: Running;
  let ours: { readonly peer: Peer; readonly world: World };
  let theirs: { readonly peer: Peer; readonly world: World };

  beforeAll(async () => {
    plane = await startControlPlane();
    rig = await installServe(plane);
    server = await rig.startServer(rig.addresses[0]);
    // Before the decision, which ages: the first run on a machine builds it.
    const adapter = await startUpstream(plane);
    upstream = adapter.running;
    await rig.decide("web", 12);
    const world = { ...(await callersOf(plane)), badToken: "not-a-token" };
    ours = {
      peer: await rig.peerOf(server),
      world: {
        ...world,
        metricPath: `${externalMetrics}/namespaces/default/forescale-replicas`,
        query: "labelSelector=forescale.io%2Fihpa%3Dweb",
      },
    };
    theirs = { peer: adapter.peer, world: { ...world, metricPath: upstreamMetric, query: "" } };
    const isKnown = async () => server.snapshot.ihpa("default", "web")?.decisionAgeMs !== undefined;
    await waitFor("the decision to arrive", isKnown, { timeoutMs: 10_000 });
  }, 900_000);
  afterAll(async () => {
    await upstream?.signal("SIGTERM");
    await server?.close();
    await plane?.stop();
  });

  it.each(rows)("$row: $name", async ({ request, codes, says, upstream: differs }) => {
    const answer = await dial(ours.peer, request(ours.world));
    expect(codes).toContain(answer.code);
    if (says) expect(answer.body).toMatch(says);
    const asked = dial(theirs.peer, request(theirs.world)).then(
      ({ code }) => code,
      () => "reset" as const,
    );
    expect(differs?.codes ?? codes).toContain(await asked);
  });

  it("11, 34: knows a token by the API server's word, and what it may read by its Role", async () => {
    await plane.kubectl(["create", "serviceaccount", "reader"]);
    await plane.kubectl(["create", "serviceaccount", "stranger"]);
    await rig.apply({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: "reader", namespace: "default" },
      rules: [{ apiGroups: ["external.metrics.k8s.io"], resources: ["forescale-replicas"], verbs: ["list"] }],
    });
    await plane.kubectl(["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"]);
    const { metricPath, query } = ours.world;
    const ask = async (account: string, path = `${metricPath}?${query}`) =>
      dial(ours.peer, { path, headers: ["Authorization", `Bearer ${await rig.token(account)}`] });
    expect((await ask("reader")).code).toBe(200);
    expect((await ask("stranger")).code).toBe(403);
    // Its grant is for this namespace, and a selector can't widen it.
    expect((await ask("reader", metricPath.replace("/default/", "/kube-system/"))).code).toBe(403);
    expect((await ask("reader", metricPath.replace("replicas", "load"))).code).toBe(403);
  });
});

/** Everybody who calls, by this control plane's authorities. */
async function callersOf({ pki }: ControlPlane) {
  const proxy = (options: Parameters<typeof pki.clientCertificate>[0]) =>
    pki.clientCertificate({ ca: pki.frontProxyAuthority, ...options });
  return {
    frontProxy: pki.identities["front-proxy"],
    frontProxyOtherName: await proxy({ user: "somebody" }),
    frontProxyExpired: await proxy({ user: "front-proxy-client", expired: true }),
    frontProxyServerAuth: await proxy({ user: "front-proxy-client", usages: ["serverAuth"] }),
    tenant: await pki.clientCertificate({ user: "tenant", groups: ["dev"] }),
    master: pki.identities.admin,
  };
}
