import { X509Certificate } from "node:crypto";
import { Agent, request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { Gauge, Registry } from "prom-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuditLog } from "../../../src/serve/access/audit.ts";
import { identityOf } from "../../../src/serve/access/identity.ts";
import { createIhpaValidator } from "../../../src/serve/admission/ihpa-validation.ts";
import { defaultLimits } from "../../../src/serve/http/limits.ts";
import type { ServerOptions } from "../../../src/serve/server.ts";
import { issueAuthority, issueClient, issueServing } from "../../../src/serve/tls/certificates.ts";
import { dial, type Peer, type Reply } from "./dial.ts";
import {
  authenticationOf,
  type Credentials,
  handClock,
  ihpaOf,
  makeCredentials,
  metricPath,
  query,
  startServer,
} from "./serve-world.ts";

const day = 86_400_000;
const path = `${metricPath}?${query}`;
const good = ["Authorization", "Bearer good"];

let credentials: Credentials;
const started: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  credentials = await makeCredentials();
});
afterAll(() => Promise.all(started.map((server) => server.close())));

async function start(options: Partial<ServerOptions> = {}) {
  const world = await startServer(credentials, options);
  started.push(world.server);
  return world;
}

/** One connection that is kept: replies, and what its server showed. */
function keepAlive(peer: Peer) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // A client's socket tells its peer's certificate once.
  const serials = new WeakMap<object, string>();
  return {
    ask: (options: { headers?: Record<string, string>; cert?: string; key?: string } = {}, at = path) =>
      new Promise<{ code: number; connection: string | undefined; serial: string; port: number }>((resolve, reject) => {
        const sent = request({ ...peer, agent, path: at, ...options }, (response) => {
          const socket = response.socket as unknown as { getPeerX509Certificate(): X509Certificate; localPort: number };
          const serial = serials.get(socket) ?? socket.getPeerX509Certificate().serialNumber;
          serials.set(socket, serial);
          const seen = { code: response.statusCode!, connection: response.headers.connection };
          const port = socket.localPort;
          response.resume().on("end", () => resolve({ ...seen, serial, port }));
        });
        sent.on("error", reject);
        sent.end();
      }),
    end: () => agent.destroy(),
  };
}

describe("discovery", () => {
  const certificate = () => credentials.callers.master;
  const v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  let peer: Peer;
  beforeAll(async () => {
    ({ peer } = await start());
  });
  const get = (at: string, ...headers: string[]) => dial(peer, { path: at, headers, certificate: certificate() });

  test("names one resource, namespaced, however many objects there are", async () => {
    const { body } = await get("/apis/external.metrics.k8s.io/v1beta1");
    expect(JSON.parse(body)).toMatchObject({
      kind: "APIResourceList",
      groupVersion: "external.metrics.k8s.io/v1beta1",
      resources: [{ name: "externalmetrics", namespaced: true, kind: "ExternalMetricValueList", verbs: ["get"] }],
    });
  });

  test("is aggregated with the group in it where that is asked for, and plain elsewhere", async () => {
    const aggregated = await get("/apis", "Accept", `${v2},${v2.replace("v=v2", "v=v2beta1")},application/json`);
    expect(aggregated.headers).toMatchObject({ "content-type": v2, vary: "Accept" });
    const [group] = JSON.parse(aggregated.body).items;
    expect(group.metadata.name).toBe("external.metrics.k8s.io");
    expect(group.versions[0]).toMatchObject({ version: "v1beta1", freshness: "Current" });
    expect(group.versions[0].resources).toHaveLength(1);
    const plain = await get("/apis");
    expect(JSON.parse(plain.body)).toMatchObject({
      kind: "APIGroupList",
      groups: [{ name: "external.metrics.k8s.io" }],
    });
    expect(plain.headers.vary).toBe("Accept");
  });

  test.each(["/apis", "/apis/external.metrics.k8s.io/v1beta1", "/openapi/v2", "/openapi/v3"])(
    "%s is not sent again to who has it",
    async (at) => {
      const { etag } = (await get(at)).headers;
      const again = await get(at, "If-None-Match", String(etag));
      expect(again).toMatchObject({ code: 304, body: "" });
      expect((await get(at, "If-None-Match", '"old"')).code).toBe(200);
    },
  );

  test("OpenAPI is found by its hash, and an old hash is no redirect", async () => {
    const { paths } = JSON.parse((await get("/openapi/v3")).body);
    const { serverRelativeURL } = paths["apis/external.metrics.k8s.io/v1beta1"];
    expect(JSON.parse((await get(serverRelativeURL)).body).openapi).toBe("3.0.0");
    expect((await get(serverRelativeURL.replace(/hash=.*/, "hash=old"))).code).toBe(200);
  });

  test.each([
    ["POST", "/apis", 405],
    ["HEAD", "/apis", 405],
    ["GET", "/validate", 405],
    ["GET", "/apis/external.metrics.k8s.io/", 404],
    ["GET", "/apis/apps/v1/deployments", 404],
    ["GET", "/%zz", 400],
    ["GET", "/apis/%ff", 400],
  ])("%s %s is %i", async (method, at, code) => {
    expect((await dial(peer, { path: at, method, certificate: certificate() })).code).toBe(code);
  });

  test("answers name this replica and are never to be sniffed or cached", async () => {
    const { headers } = await get("/apis/external.metrics.k8s.io/v1beta1");
    expect(headers).toMatchObject({ "forescale-instance": "this-one", "x-content-type-options": "nosniff" });
    expect(headers["cache-control"]).toBe("no-cache, private");
    expect(headers["x-powered-by"]).toBeUndefined();
  });
});

describe("reviews", () => {
  test("of one token by many requests at once are one review, kept for 10 s", async () => {
    const clock = { ...handClock(Date.now()) };
    let asked = 0;
    const reviewToken = async () => {
      asked++;
      await sleep(50);
      return { kind: "Authenticated", identity: identityOf("reader", []) } as const;
    };
    const { peer, snapshot } = await start({ clock, reviewToken });
    snapshot.setIhpa(ihpaOf("web", { decision: { total: 12 } }));
    const ask = () => dial(peer, { path, headers: good });
    const codes = (await Promise.all(Array.from({ length: 10 }, ask))).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set([200]));
    expect(asked).toBe(1);
    clock.advance(9000);
    await ask();
    expect(asked).toBe(1);
    clock.advance(2000);
    await ask();
    expect(asked).toBe(2);
  });

  test("that fail are not kept", async () => {
    let isDown = true;
    const { peer } = await start({
      reviewAccess: async () => {
        if (isDown) throw new Error("down");
        return { isAllowed: true };
      },
    });
    expect((await dial(peer, { path, headers: good })).code).toBe(500);
    isDown = false;
    expect((await dial(peer, { path, headers: good })).code).toBe(200);
  });

  test("are asked for the metric as resource, in the path's namespace", async () => {
    const seen: unknown[] = [];
    const { peer } = await start({
      reviewAccess: async (identity, attributes) => {
        seen.push([identity.user, attributes]);
        return { isAllowed: false };
      },
    });
    await dial(peer, { path: `${path}&namespace=other`, headers: good });
    await dial(peer, { path: "/metrics", headers: good });
    expect(seen).toEqual([
      [
        "reader",
        {
          kind: "Resource",
          verb: "list",
          group: "external.metrics.k8s.io",
          version: "v1beta1",
          namespace: "default",
          resource: "forescale-replicas",
          name: "",
          subresource: "",
        },
      ],
      ["reader", { kind: "Path", verb: "get", path: "/metrics" }],
    ]);
  });
});

describe("trust", () => {
  test("follows the configuration on connections that stand", async () => {
    const nextProxyCa = await issueAuthority("front-proxy-ca", day, Date.now());
    const nextProxy = await issueClient(nextProxyCa, { name: "front-proxy-client" }, day, Date.now());
    let config = authenticationOf(credentials);
    const { peer } = await start({ authentication: () => config });
    const headers = { "x-remote-user": "someone", "x-remote-group": "system:masters" };
    const old = keepAlive(peer);
    const { frontProxy } = credentials.callers;
    const asOld = { headers, cert: frontProxy.certificate, key: frontProxy.key };
    expect((await old.ask(asOld)).code).toBe(200);
    config = authenticationOf({ ...credentials, frontProxyCa: nextProxyCa });
    expect((await old.ask(asOld)).code).toBe(401);
    old.end();
    const dialNext = { path, headers: Object.entries(headers).flat(), certificate: nextProxy };
    expect((await dial(peer, dialNext)).code).toBe(200);
  });

  test("is nobody's before the configuration was read", async () => {
    const { peer } = await start({ authentication: () => undefined, unready: () => ["authentication"] });
    expect((await dial(peer, { path, certificate: credentials.callers.master })).code).toBe(503);
    expect((await dial(peer, { path: "/livez" })).code).toBe(200);
    const ready = await dial(peer, { path: "/readyz" });
    expect(ready.code).toBe(500);
    expect(ready.body).toContain("authentication");
  });

  test("in a certificate ends with it, on connections that stand", async () => {
    const clock = handClock(Date.now());
    const { peer } = await start({ clock });
    const kept = keepAlive(peer);
    const { certificate: cert, key } = credentials.callers.master;
    expect((await kept.ask({ cert, key }, "/apis")).code).toBe(200);
    clock.advance(2 * day);
    expect((await kept.ask({ cert, key }, "/apis")).code).toBe(401);
    kept.end();
  });
});

describe("under load", () => {
  test("what is too much gets 429 without Retry-After, but the HPA and probes are served", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { peer } = await start({
      limits: { inFlight: 2 },
      reviewToken: async () => {
        await held;
        return { kind: "Rejected" };
      },
      reviewAccess: async () => ({ isAllowed: true }),
    });
    const waiting = ["a", "b"].map((token) => dial(peer, { path, headers: ["Authorization", `Bearer ${token}`] }));
    await sleep(100);
    const shed = await dial(peer, { path, headers: ["Authorization", "Bearer c"] });
    expect(shed.code).toBe(429);
    expect(shed.headers["retry-after"]).toBeUndefined();
    expect(shed.body).not.toContain("retryAfterSeconds");
    const hpa = ["X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"];
    expect((await dial(peer, { path, headers: hpa, certificate: credentials.callers.frontProxy })).code).toBe(200);
    expect((await dial(peer, { path: "/readyz" })).code).toBe(200);
    release();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual([401, 401]);
    expect((await dial(peer, { path, headers: ["Authorization", "Bearer c"] })).code).toBe(401);
  });

  test("an answer that does not come is a 503 after the deadline", async () => {
    const registry = new Registry();
    const slow = new Gauge({ name: "slow", help: "Slow.", registers: [registry], collect: () => sleep(3000) });
    expect(slow).toBeDefined();
    const { peer } = await start({ registry, limits: { deadlineMs: 200 } });
    expect((await dial(peer, { path: "/metrics", certificate: credentials.callers.master })).code).toBe(503);
  });

  test("idle connections outlive the API server's own, which must be the one that closes", () => {
    expect(defaultLimits.keepAliveTimeoutMs).toBeGreaterThan(90_000);
    expect(defaultLimits.inFlight).toBe(400);
    expect(defaultLimits.bodyBytes).toBe(3 * 2 ** 20);
    expect(defaultLimits.headerBytes).toBeGreaterThanOrEqual(256 * 1024);
  });
});

describe("audit", () => {
  test("has a line a request that says who and what, and no selector, token or forged line", async () => {
    let written = "";
    const stream = { write: (text: string) => (written += text) } as unknown as NodeJS.WritableStream;
    const audit = createAuditLog(stream);
    const { peer } = await start({ audit });
    await dial(peer, { path, headers: [...good, "Audit-Id", "given-id"] });
    await dial(peer, { path: "/unknown%0Aline", headers: ["Audit-Id", "x".repeat(100)] });
    audit.flush();
    const lines = written
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({
      message: "request",
      id: "given-id",
      user: "reader",
      namespace: "default",
      metric: "forescale-replicas",
      code: 200,
      rung: "Fresh",
    });
    expect(lines[1]).toMatchObject({ user: "system:anonymous", path: "/unknown\nline", code: 403 });
    expect(lines[1].id).toMatch(/^[0-9a-f-]{36}$/);
    expect(written).not.toMatch(/good|ihpa%3Dweb|forescale\.io/);
  });

  test("is dropped and counted rather than kept for a stream that takes nothing", () => {
    let writableLength = 2 ** 30;
    const written: string[] = [];
    const stream = Object.assign({ write: (text: string) => written.push(text) }, { writableLength });
    const audit = createAuditLog(stream as unknown as NodeJS.WritableStream);
    const record = { id: "1", user: "u", method: "GET", path: "/", code: 200, ms: 1 };
    audit.write(record);
    audit.flush();
    expect(written).toEqual([]);
    writableLength = 0;
    stream.writableLength = writableLength;
    audit.write(record);
    audit.flush();
    expect(written.join("")).toContain('"lines":1');
  });
});

describe("certificates and the end", () => {
  test("a new certificate is shown from the next handshake on; connections that stand go on", async () => {
    const { server, peer } = await start();
    const kept = keepAlive(peer);
    const before = await kept.ask({ headers: { authorization: "Bearer good" } });
    const next = await issueServing(credentials.servingCa, ["localhost"], day, Date.now());
    server.useCertificate(next);
    const same = await kept.ask({ headers: { authorization: "Bearer good" } });
    expect(same).toMatchObject({ code: 200, port: before.port, serial: before.serial });
    const fresh = keepAlive(peer);
    expect((await fresh.ask({ headers: { authorization: "Bearer good" } })).serial).toBe(
      new X509Certificate(next.certificate).serialNumber,
    );
    for (const each of [kept, fresh]) each.end();
  });

  test("a server that leaves says so, serves on, and then is gone", async () => {
    const { server, peer } = await start();
    const kept = keepAlive(peer);
    const headers = { authorization: "Bearer good" };
    expect((await kept.ask({ headers })).connection).toBe("keep-alive");
    const closing = server.close({ delayMs: 600, drainMs: 1000 });
    await sleep(20);
    const ready: Reply = await dial(peer, { path: "/readyz" });
    expect(ready.code).toBe(500);
    expect(ready.body).toContain("shutdown");
    expect(await kept.ask({ headers })).toMatchObject({ code: 200, connection: "close" });
    expect((await dial(peer, { path, headers: good })).code).toBe(200);
    await closing;
    await expect(dial(peer, { path: "/livez" })).rejects.toThrow("ECONNREFUSED");
    kept.end();
  });

  test("a request that is under way when the server leaves is still answered", async () => {
    const { server, peer } = await start({
      reviewToken: async () => {
        await sleep(300);
        return { kind: "Authenticated", identity: identityOf("reader", []) };
      },
    });
    const asked = dial(peer, { path, headers: good });
    await sleep(100);
    await server.close({ drainMs: 5000 });
    expect((await asked).code).toBe(200);
  });
});

describe("admission", () => {
  const review = (request: object, apiVersion = "admission.k8s.io/v1") =>
    JSON.stringify({ apiVersion, kind: "AdmissionReview", request });
  const kind = { group: "autoscaling.forescale.io", version: "v1alpha1", kind: "IntelligentHorizontalPodAutoscaler" };
  const create = (object: unknown, more: object = {}) =>
    review({ uid: "1", kind, namespace: "default", operation: "CREATE", object, ...more });
  const web = ihpaOf("web", { spec: { prediction: { timeZone: "UTC" } as never } });
  const second = { ...ihpaOf("second"), spec: web.spec };
  let peer: Peer;
  beforeAll(async () => {
    const world = await start();
    ({ peer } = await start({ validate: createIhpaValidator(world.snapshot) }));
  });
  const validate = (body: string | Buffer) => dial(peer, { path: "/validate", method: "POST", body });

  test.each([
    ["55: what is not JSON", "{", 400],
    ["56: version v1beta1", review({ uid: "1" }, "admission.k8s.io/v1beta1"), 400],
    ["57: no uid", review({ kind }), 400],
    ["no request", review(undefined as never), 400],
    ["a list", "[]", 400],
    ["null", "null", 400],
    ["nothing", "", 400],
    ["5 MiB", " ".repeat(5 * 2 ** 20), 413],
  ])("%s is refused", async (_name, body, code) => {
    const answer = await validate(body);
    expect(answer.code).toBe(code);
    expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", code });
  });

  test.each([
    { name: "a good object", body: create(web), allowed: true },
    { name: "another kind", body: create({}, { kind: { ...kind, kind: "HorizontalPortrait" } }), allowed: true },
    { name: "a deletion", body: create(null, { operation: "DELETE" }), allowed: true },
    {
      name: "a second object for one target",
      body: create(second),
      allowed: false,
      says: "already scaled by IHPA web",
    },
    {
      name: "an edit of a second object that is there",
      body: create(second, { operation: "UPDATE", oldObject: second }),
      allowed: true,
    },
    {
      name: "a second object on its way out",
      body: create({ ...second, metadata: { ...second.metadata, deletionTimestamp: "2026-11-22T00:00:00Z" } }),
      allowed: true,
    },
    {
      name: "an unknown time zone",
      body: create({ ...web, spec: { ...web.spec, prediction: { timeZone: "Mars/Olympus" } } }),
      allowed: false,
      says: "no time zone",
    },
  ])("$name: allowed is $allowed", async ({ body, allowed, says }) => {
    const answer = JSON.parse((await validate(body)).body);
    expect(answer).toMatchObject({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "1", allowed },
    });
    if (says) expect(answer.response.status.message).toContain(says);
  });

  test("an object that no API server would send is an error without a stack, and the server goes on", async () => {
    const answer = await validate(create({ spec: 1 }));
    expect(answer.code).toBe(500);
    expect(answer.body).not.toMatch(/\.ts|TypeError/);
    expect((await dial(peer, { path: "/livez" })).code).toBe(200);
  });
});
