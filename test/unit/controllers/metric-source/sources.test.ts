import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MetricSource } from "../../../../src/api/kinds/metric-source.ts";
import {
  type OpenSource,
  type SourceOutcome,
  Sources,
  type SourcesOptions,
} from "../../../../src/controllers/metric-source/sources.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { type Stub, startStub, succeed } from "../../collect/stub.ts";
import { iso, nowMs, sourceOf } from "../objects.ts";

let cache: Cache<MetricSource>;
let sources: Sources;
let clockMs: number;
let moved: string[];

function open(options: Partial<SourcesOptions> = {}): Sources {
  sources = new Sources({
    cache,
    readSecret: async ({ namespace, name, key }) => {
      throw new Error(`Secret ${namespace}/${name} has no key ${key}`);
    },
    addresses: { allowLoopback: true },
    onMoved: (name) => moved.push(name),
    now: () => clockMs,
    ...options,
  });
  return sources;
}

beforeEach(() => {
  cache = new Cache<MetricSource>();
  clockMs = nowMs;
  moved = [];
});
afterEach(() => sources?.close());

const faultOf = (outcome: SourceOutcome) => (outcome.kind === "Fault" ? outcome.fault : undefined);
const openOf = (outcome: SourceOutcome): OpenSource => {
  if (outcome.kind !== "Open") throw new Error(`not open: ${JSON.stringify(outcome)}`);
  return outcome.source;
};

describe("which source", () => {
  test("without sources, a metric that names none is read from the metrics APIs; one that names a source gets a fault", async () => {
    expect(await open().get(undefined, "store")).toEqual({ kind: "MetricsApi" });
    expect(faultOf(await sources.get("main", "store"))).toMatchObject({
      reason: "SourceNotFound",
      message: expect.stringContaining("MetricSource main does not exist"),
    });
  });

  test("of several default sources the oldest is used; any other has to be named", async () => {
    cache.set(sourceOf("young", { default: true }, { creationTimestamp: iso(10) }));
    cache.set(sourceOf("old", { default: true }, { creationTimestamp: iso(1000) }));
    cache.set(sourceOf("named", {}, { creationTimestamp: iso(9999) }));
    expect(openOf(await open().get(undefined, "store")).name).toBe("old");
    expect(openOf(await sources.get("named", "store")).name).toBe("named");
  });

  test.each([
    { type: "Resource" as const, kind: "MetricsApi" },
    { type: "Custom" as const, kind: "MetricsApi" },
    { type: "External" as const, kind: "MetricsApi" },
  ])("$type is the cluster's own metrics API", async ({ type, kind }) => {
    cache.set(sourceOf("api", { type, url: undefined }));
    expect((await open().get("api", "store")).kind).toBe(kind);
  });

  test("an unsupported source type is reported as a fault", async () => {
    cache.set(sourceOf("sls", { type: "SLS", sls: { project: "p", metricStore: "m" } }));
    expect(faultOf(await open().get("sls", "store"))).toMatchObject({ reason: "AlgorithmNotSupported" });
  });

  test("a source limited to some namespaces refuses the others, default or not", async () => {
    cache.set(sourceOf("main", { default: true, tenancy: { namespaces: ["store"] } }));
    expect((await open().get("main", "store")).kind).toBe("Open");
    for (const name of ["main", undefined])
      expect(faultOf(await sources.get(name, "other"))).toMatchObject({
        reason: "SourceRefused",
        message: expect.stringContaining("namespace other"),
      });
  });

  test("a query is confined to its namespace unless the administrator trusts all", async () => {
    cache.set(sourceOf("confined"));
    cache.set(sourceOf("own-label", { tenancy: { label: "tenant" } }));
    cache.set(sourceOf("open", { tenancy: { rule: "None" } }));
    open();
    const queryOf = async (name: string) => openOf(await sources.get(name, "store")).tenantQuery("sum(x)", "store");
    expect(await queryOf("confined")).toBe('sum(x{namespace="store"})');
    expect(await queryOf("own-label")).toBe('sum(x{tenant="store"})');
    expect(await queryOf("open")).toBe("sum(x)");
  });
});

describe("a source that cannot be opened gives a fault, not an exception", () => {
  const ref = { namespace: "forescale-system", name: "store", key: "token" };

  test("a missing Secret is named in the fault, and read again at the next try", async () => {
    cache.set(sourceOf("main", { credentials: { bearerToken: ref } }));
    let token: string | undefined;
    open({
      readSecret: async () => {
        if (token === undefined) throw new Error("Secret forescale-system/store cannot be read: not found");
        return token;
      },
    });
    expect(faultOf(await sources.get("main", "store"))).toEqual({
      reason: "SourceRefused",
      message: "MetricSource main: Secret forescale-system/store cannot be read: not found",
    });
    token = "s3cret-token";
    expect((await sources.get("main", "store")).kind).toBe("Open");
  });

  test.each([
    { name: "metadata", url: "http://169.254.169.254/latest", policy: {} },
    { name: "loopback", url: "http://127.0.0.1:9090", policy: {} },
    { name: "the API server's", url: "http://10.96.0.1:443", policy: { refused: ["10.96.0.1"] } },
  ])("an address that is not allowed is refused: $name", async ({ url, policy }) => {
    cache.set(sourceOf("main", { url }));
    expect(faultOf(await open({ addresses: policy }).get("main", "store"))).toMatchObject({
      reason: "SourceRefused",
      message: expect.stringContaining("so it is not called"),
    });
  });

  test.each([
    { name: "a token that cannot be sent", secret: "s3cret\u0000token", credentials: { bearerToken: ref } },
    { name: "both kinds of login", secret: "s3cret", credentials: { bearerToken: ref, username: ref, password: ref } },
  ])("$name: the message contains no secret", async ({ secret, credentials }) => {
    cache.set(sourceOf("main", { credentials }));
    const fault = faultOf(await open({ readSecret: async () => secret }).get("main", "store"));
    expect(fault?.message).toMatch(/^MetricSource main: /);
    expect(fault?.message).not.toContain("s3cret");
  });

  describe("with a store that repeats what it was sent", () => {
    let stub: Stub;
    beforeEach(async () => {
      stub = await startStub(({ headers }, response) => {
        response.writeHead(400, { "content-type": "application/json" });
        response.end(
          JSON.stringify({ status: "error", errorType: "bad_data", error: `you sent ${headers.authorization}` }),
        );
      });
    });
    afterEach(() => stub.close());

    test.each([
      { name: "a token", credentials: { bearerToken: ref } },
      { name: "a password", credentials: { username: ref, password: ref } },
    ])("no message contains $name", async ({ credentials }) => {
      cache.set(sourceOf("main", { url: stub.url, credentials }));
      const { client } = openOf(await open({ readSecret: async () => "s3cret-value" }).get("main", "store"));
      const error = await client.instant("up").catch((thrown: Error) => thrown);
      const sent = stub.requests[0].headers.authorization!.split(" ")[1];
      expect(sent.length).toBeGreaterThan(5);
      for (const text of [
        String(error),
        JSON.stringify(error),
        JSON.stringify(openOf(await sources.get("main", "store"))),
      ]) {
        expect(text).not.toContain("s3cret-value");
        expect(text).not.toContain(sent);
      }
    });
  });
});

describe("over time", () => {
  test("an open source is one client until its object changes; Secrets are read again every five minutes", async () => {
    let reads = 0;
    const credentials = { bearerToken: { namespace: "a", name: "b", key: "c" } };
    cache.set(sourceOf("main", { credentials }));
    open({ readSecret: async () => `token-${reads++}` });
    const first = openOf(await sources.get("main", "store"));
    clockMs += 299_000;
    expect(openOf(await sources.get("main", "store"))).toBe(first);
    clockMs += 2_000;
    expect(openOf(await sources.get("main", "store"))).not.toBe(first);
    cache.set(sourceOf("main", { credentials, step: "30s" }, { generation: 2 }));
    expect(openOf(await sources.get("main", "store")).stepMs).toBe(30_000);
    expect(reads).toBe(3);
    expect(moved).toEqual([]); // the same store all along
  });

  test.each([
    { name: "another URL", change: () => sourceOf("main", { url: "http://10.0.0.2:9090" }, { generation: 2 }) },
    {
      name: "another tenant",
      change: () => sourceOf("main", { headers: { "X-Scope-OrgID": "b" } }, { generation: 2 }),
    },
    { name: "made again", change: () => sourceOf("main", {}, { uid: "another" }) },
  ])("$name makes it another store: its history is dropped", async ({ change }) => {
    cache.set(sourceOf("main"));
    await open().get("main", "store");
    cache.delete(sourceOf("main"));
    expect((await sources.get("main", "store")).kind).toBe("Fault");
    cache.set(change());
    await sources.get("main", "store");
    expect(moved).toEqual(["main"]);
  });

  test("a late fault of a replaced source does not close its successor", async () => {
    const credentials = { bearerToken: { namespace: "a", name: "b", key: "c" } };
    let fail: (error: Error) => void = () => {};
    let isFirst = true;
    open({
      readSecret: () => {
        if (!isFirst) return Promise.resolve("token");
        isFirst = false;
        return new Promise((_, reject) => {
          fail = reject;
        });
      },
    });
    cache.set(sourceOf("main", { credentials }));
    const slow = sources.get("main", "store");
    cache.set(sourceOf("main", { credentials }, { generation: 2 }));
    const quick = openOf(await sources.get("main", "store"));
    fail(new Error("Secret a/b cannot be read"));
    expect((await slow).kind).toBe("Fault");
    expect(openOf(await sources.get("main", "store"))).toBe(quick);
  });
});

test("a source that answers is read", async () => {
  const stub = await startStub((_, response) =>
    succeed(response, "vector", [{ metric: {}, value: [nowMs / 1000, "1"] }]),
  );
  try {
    cache.set(sourceOf("main", { url: stub.url }));
    const { client } = openOf(await open().get("main", "store"));
    expect(await client.instant("vector(1)", { atMs: nowMs })).toMatchObject([{ value: 1 }]);
  } finally {
    await stub.close();
  }
});
