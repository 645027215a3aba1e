import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silent } from "../../../../src/kube/log.ts";
import { injectPod } from "../../../../src/pods/inject/inject-pod-states.ts";
import type { PatchOperation } from "../../../../src/pods/inject/pod-fields.ts";
import { type GateSetter, watchGateSetter } from "../../../../src/serve/admission/gate-setter.ts";
import { reviewPod } from "../../../../src/serve/admission/pod-injection.ts";
import { isRefusal } from "../../../../src/serve/http/status.ts";
import { CountingClient } from "../../kube/counting-client.ts";
import { FakeApiServer } from "../../kube/fake-api-server.ts";
import { eventually, FakeClock } from "../../kube/fake-clock.ts";
import { dial, type Peer } from "../dial.ts";
import { type Credentials, makeCredentials, type Server, startServer } from "../serve-world.ts";

const sidecar = { image: "forescale:1", server: "s:443", authorities: "PEM", swapNamespaces: [] };

describe("reviews of pods", () => {
  let credentials: Credentials;
  let server: Server;
  let peer: Peer;
  beforeAll(async () => {
    credentials = await makeCredentials();
    ({ server, peer } = await startServer(credentials, {
      inject: ({ object, namespace }) => injectPod(object, { namespace, isGateSet: true, sidecar }),
    }));
  });
  afterAll(() => server.close());

  const podKind = { group: "", version: "v1", kind: "Pod" };
  const pod = (wish: string, spec: object = {}, annotations = {}) => ({
    metadata: { generateName: "web-", labels: { "forescale.io/inject": wish }, annotations },
    spec: { containers: [{ name: "app" }], securityContext: { runAsUser: 7, runAsGroup: 7 }, ...spec },
  });
  const review = (object: unknown, more: object = {}, apiVersion = "admission.k8s.io/v1") =>
    JSON.stringify({
      apiVersion,
      kind: "AdmissionReview",
      request: { uid: "u-1", kind: podKind, namespace: "shop", operation: "CREATE", object, ...more },
    });
  const post = (body: string) => dial(peer, { path: "/mutate", method: "POST", body });
  const answerTo = async (body: string) => {
    const reply = await post(body);
    expect(reply.code).toBe(200);
    const answer = JSON.parse(reply.body);
    expect(answer).toMatchObject({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "u-1", allowed: true },
    });
    const { patch, ...response } = answer.response;
    const operations: PatchOperation[] = patch ? JSON.parse(Buffer.from(patch, "base64").toString("utf8")) : [];
    return { ...response, operations, paths: operations.map(({ path }) => path) };
  };

  test("carry a patch of its declared type, and what became of the pod for the audit log", async () => {
    const answer = await answerTo(review(pod("gate")));
    expect(answer).toMatchObject({ patchType: "JSONPatch", auditAnnotations: { injection: "Gate" } });
    expect(answer.operations).toEqual([
      { op: "add", path: "/spec/readinessGates", value: [{ conditionType: "forescale.io/online" }] },
    ]);
    expect((await answerTo(review(pod("standby")))).paths).toContain("/spec/initContainers");
  });

  test.each([
    ["55: what is not JSON", "{", 400],
    ["56: version v1beta1", review(pod("gate"), {}, "admission.k8s.io/v1beta1"), 400],
    ["57: no uid", review(pod("gate"), { uid: "" }), 400],
    ["5 MiB", " ".repeat(5 * 2 ** 20), 413],
  ])("%s is refused", async (_, body, code) => {
    expect((await post(body)).code).toBe(code);
  });

  test("are only read from a POST", async () => {
    expect((await dial(peer, { path: "/mutate", certificate: credentials.callers.master })).code).toBe(405);
  });

  test.each([
    ["58: a pod without containers", review({ ...pod("standby"), spec: {} })],
    ["66: a Deployment", review(pod("gate"), { kind: { group: "apps", version: "v1", kind: "Deployment" } })],
    ["an update", review(pod("gate"), { operation: "UPDATE" })],
    ["no object", review(null)],
    ["a mirror pod", review(pod("standby", {}, { "kubernetes.io/config.mirror": "x" }))],
  ])("%s is allowed, unchanged and without a warning", async (_, body) => {
    const answer = await answerTo(body);
    expect(answer.operations).toEqual([]);
    expect(answer).not.toHaveProperty("warnings");
    expect(answer).not.toHaveProperty("patchType");
  });

  test.each([
    ["60: a container of our name", { containers: [{ name: "forescale-sidecar" }] }],
    ["61: hostPID", { hostPID: true }],
    ["61: hostNetwork", { hostNetwork: true }],
    ["62: Windows", { os: { name: "windows" } }],
  ])("%s is allowed, unchanged but for the warning's words, which controllers do not show", async (_, spec) => {
    const answer = await answerTo(review(pod("standby", spec)));
    expect(answer.warnings).toHaveLength(1);
    expect(answer.paths).toEqual([expect.stringMatching(/^\/metadata\/annotations/)]);
    expect(JSON.stringify(answer.operations[0].value)).toContain(JSON.stringify(answer.warnings[0]).slice(1, -1));
    expect(answer.auditAnnotations).toEqual({ injection: "Refused" });
  });

  test("64: a dry run is answered as the real thing", async () => {
    const real = await answerTo(review(pod("standby")));
    expect(await answerTo(review(pod("standby"), { dryRun: true }))).toEqual(real);
  });

  test("65: a pod of 3 MiB is answered, and its warnings stay within what the API server passes on", async () => {
    const env = [{ name: "BIG", value: "x".repeat(3 * 2 ** 20) }];
    const livenessProbe = { httpGet: { port: "y".repeat(2000) } };
    const containers = Array.from({ length: 30 }, (_, i) => ({ name: `c${i}`, livenessProbe }));
    const answer = await answerTo(review(pod("standby", { containers: [{ name: "app", env }, ...containers] })));
    expect(answer.paths).toEqual(["/spec/readinessGates", expect.stringMatching(/^\/metadata\/annotations/)]);
    expect(Math.max(...answer.warnings.map(({ length }: string) => length))).toBeLessThanOrEqual(256);
    expect(answer.warnings.join("").length).toBeLessThan(4096);
  });

  test("whatever is sent, the answer allows under the same uid, or the bytes are no review", () => {
    const inject = ({ object }: { object: unknown }) =>
      injectPod(object, { namespace: "shop", isGateSet: true, sidecar });
    const envelope = fc.record({
      apiVersion: fc.constantFrom("admission.k8s.io/v1", "admission.k8s.io/v1beta1"),
      kind: fc.constant("AdmissionReview"),
      request: fc.oneof(
        fc.record({
          uid: fc.string(),
          kind: fc.constant(podKind),
          operation: fc.constant("CREATE"),
          object: fc.jsonValue(),
        }),
        fc.jsonValue(),
      ),
    });
    fc.assert(
      fc.property(fc.oneof(envelope, fc.jsonValue()), (sent) => {
        const answer = reviewPod(Buffer.from(JSON.stringify(sent)), inject);
        if (isRefusal(answer)) expect(answer.code).toBe(400);
        else
          expect(answer).toMatchObject({
            response: { uid: (sent as { request: { uid: string } }).request.uid, allowed: true },
          });
      }),
    );
  });

  test("are counted by what became of the pods", async () => {
    const { body } = await dial(peer, { path: "/metrics", certificate: credentials.callers.master });
    expect(body).toMatch(/forescale_serve_injections_total\{outcome="Standby"\} [1-9]/);
    expect(body).toMatch(/forescale_serve_injections_total\{outcome="Refused"\} 4/);
  });
});

describe("the setter of gates", () => {
  const path = "/apis/coordination.k8s.io/v1/namespaces/forescale-system/leases";
  let api: FakeApiServer;
  let clock: FakeClock;
  let stop: AbortController;
  let setter: GateSetter;

  beforeEach(async () => {
    api = await new FakeApiServer().start();
    clock = new FakeClock();
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await setter.done;
    await api.kill();
  });

  async function watch(): Promise<void> {
    const client = new CountingClient(api.connection(), { clock, random: () => 0 });
    setter = watchGateSetter({ client, namespace: "forescale-system", clock, log: silent, signal: stop.signal });
    await eventually(() => api.openWatches === 1, "the watch");
  }
  const put = (holderIdentity: string, ageMs = 0) =>
    api.put(path, {
      metadata: { name: "forescale-controller", namespace: "forescale-system" },
      spec: {
        holderIdentity,
        leaseDurationSeconds: 15,
        renewTime: new Date(clock.wallMs() - ageMs).toISOString(),
      },
    });
  const becomes = (isThere: boolean) => eventually(() => setter.isThere === isThere, `it to be ${isThere}`);

  test("is there while its Lease is renewed, and gone when it has not been for as long as it says", async () => {
    put("a");
    await watch();
    expect(setter.isThere).toBe(true);
    await clock.advance(14_000);
    expect(setter.isThere).toBe(true);
    put("a");
    await clock.advance(2_000);
    await becomes(true);
    await clock.advance(15_001);
    expect(setter.isThere).toBe(false);
    put("b");
    await becomes(true);
  });

  test("is not there where the Lease was never made, is given back or deleted", async () => {
    await watch();
    expect(setter.isThere).toBe(false);
    put("a");
    await becomes(true);
    put("");
    await becomes(false);
    put("b");
    await becomes(true);
    api.remove(path, "forescale-controller");
    await becomes(false);
  });

  test("is not there where the Lease that is found is of long ago", async () => {
    put("a", 20_000);
    await watch();
    expect(setter.isThere).toBe(false);
    put("a", 19_000);
    await becomes(true);
  });

  test("is judged by our own clock once it was seen: one whose clock is wrong is there while it renews", async () => {
    put("a");
    await watch();
    for (const ageMs of [3_600_000, -3_600_000]) {
      await clock.advance(15_001);
      expect(setter.isThere).toBe(false);
      put("a", ageMs);
      await becomes(true);
    }
  });
});
