import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type KubeObject, resources } from "../../../../src/kube/client/resource.ts";
import { kubeMetrics } from "../../../../src/kube/metrics.ts";
import { Reflector, type ReflectorOptions } from "../../../../src/kube/watch/reflector.ts";
import { CountingClient } from "../counting-client.ts";
import { FakeApiServer, status } from "../fake-api-server.ts";
import { eventually, FakeClock } from "../fake-clock.ts";

const base = "/apis/apps/v1/deployments";
interface Workload extends KubeObject {
  readonly spec?: { readonly replicas?: number };
}

let server: FakeApiServer;
let clock: FakeClock;
let client: CountingClient;
let stop: AbortController;
let running: Promise<void>[];

beforeEach(async () => {
  server = await new FakeApiServer().start();
  clock = new FakeClock();
  client = new CountingClient(server.connection(), { clock, random: () => 0 });
  stop = new AbortController();
  running = [];
});
afterEach(async () => {
  stop.abort(new Error("the test is over"));
  await Promise.all(running);
  await server.kill();
});

function reflect(options: Partial<ReflectorOptions<Workload>> = {}) {
  const reflector = new Reflector<Workload>({
    client,
    resource: resources.deployments,
    clock,
    random: () => 0,
    freeze: true,
    resyncMs: 0,
    ...options,
  });
  const heard: string[] = [];
  reflector.onChange(({ type, object }) => heard.push(`${type} ${object.metadata.name}`));
  return { reflector, heard, cache: reflector.cache };
}

function start(reflector: Reflector<Workload>): void {
  running.push(reflector.start(stop.signal));
}

/** Starts, and waits for the first list and the watch after it. */
async function started(options: Partial<ReflectorOptions<Workload>> = {}) {
  const parts = reflect(options);
  start(parts.reflector);
  await parts.reflector.waitForSync();
  await eventually(() => server.openWatches === 1, "the watch");
  return parts;
}

const workload = (name: string, replicas = 1, more: object = {}) => ({
  metadata: { name, namespace: "shop", ...more },
  spec: { replicas },
});

/** Waits for the loop to fall asleep after a failure, then wakes it. */
async function passBackoff(ms: number): Promise<void> {
  await eventually(() => clock.pending > 0, "a wait");
  await clock.advance(ms);
}

describe("in order", () => {
  test("the first list comes by pages, then changes follow as they happen", async () => {
    for (const name of ["a", "b", "c"]) server.put(base, workload(name));
    server.pageSize = 2;
    const { cache, heard, reflector } = await started();
    expect(reflector.hasSynced).toBe(true);
    expect(cache.size).toBe(3);
    server.put(base, workload("d"));
    server.put(base, workload("a", 5));
    server.remove(base, "b");
    await eventually(() => heard.length === 6);
    expect(heard).toEqual(["Added a", "Added b", "Added c", "Added d", "Updated a", "Deleted b"]);
    expect(cache.get({ namespace: "shop", name: "a" })?.spec?.replicas).toBe(5);
    expect(server.lists()).toHaveLength(2);
  });

  test("hasSynced is false until the last page is in the cache", async () => {
    for (const name of ["a", "b"]) server.put(base, workload(name));
    server.pageSize = 1;
    let release: () => void = () => {};
    server.intercept = ({ query }) =>
      query.has("continue") ? new Promise((resolve) => (release = () => resolve(false))) : false;
    const { reflector, cache } = reflect();
    start(reflector);
    await eventually(() => server.lists().length === 2);
    expect(reflector.hasSynced).toBe(false);
    expect(cache.size).toBe(0);
    release();
    await reflector.waitForSync();
    expect(cache.size).toBe(2);
  });

  test("a watch that ends in order goes on from the last bookmark, without a list", async () => {
    const { heard } = await started();
    const bookmark = server.bookmark();
    await clock.advance(40_000);
    server.endWatches();
    await eventually(() => server.watchRequests().length === 2, "the second watch");
    expect(server.watchRequests()[1].query.get("resourceVersion")).toBe(bookmark);
    server.put(base, workload("a"));
    await eventually(() => heard.includes("Added a"));
    expect(server.lists()).toHaveLength(1);
  });

  test("watches ask for bookmarks and an end within 50 s", async () => {
    await started({ random: () => 0.999 });
    const { query } = server.watchRequests()[0];
    expect(query.get("allowWatchBookmarks")).toBe("true");
    expect(Number(query.get("timeoutSeconds"))).toBeLessThanOrEqual(50);
  });

  test("a server that ends every watch at once is asked once a second", async () => {
    await started();
    for (let i = 2; i < 5; i++) {
      server.endWatches();
      await eventually(() => server.openWatches === 0 && clock.pending > 0);
      await clock.advance(900);
      expect(server.watchRequests()).toHaveLength(i - 1);
      await clock.advance(200);
      await eventually(() => server.watchRequests().length === i && server.openWatches === 1);
    }
    expect(server.lists()).toHaveLength(1);
  });

  test("namespace, selectors and metadata-only go into list and watch", async () => {
    const { reflector } = reflect({
      namespace: "shop",
      labelSelector: "app=web",
      fieldSelector: "metadata.name=web",
      metadataOnly: true,
    });
    start(reflector);
    await eventually(() => server.watchRequests().length === 1);
    for (const { path, query } of [server.lists()[0], server.watchRequests()[0]]) {
      expect(path).toBe("/apis/apps/v1/namespaces/shop/deployments");
      expect(query.get("labelSelector")).toBe("app=web");
      expect(query.get("fieldSelector")).toBe("metadata.name=web");
    }
    expect(server.lists()[0].headers.accept).toContain("as=PartialObjectMetadataList");
    expect(server.watchRequests()[0].headers.accept).toContain("as=PartialObjectMetadata;");
  });

  test("managedFields are dropped and the transform is applied, in lists and watches", async () => {
    const managedFields = [{ manager: "kubectl" }];
    server.put(base, workload("a", 3, { managedFields }));
    const { cache } = await started({ transform: ({ metadata, spec }) => ({ metadata, spec }) });
    server.put(base, workload("b", 4, { managedFields }));
    await eventually(() => cache.size === 2);
    for (const object of cache.list()) {
      expect(object.metadata).not.toHaveProperty("managedFields");
      expect(Object.keys(object).toSorted()).toEqual(["metadata", "spec"]);
    }
  });

  test("what the cache gives out is read-only", async () => {
    server.put(base, workload("a"));
    const { cache } = await started();
    const object = cache.get({ namespace: "shop", name: "a" }) as unknown as { spec: { replicas: number } };
    expect(() => {
      object.spec.replicas = 9;
    }).toThrow(TypeError);
  });

  test("a resync hands every object out again", async () => {
    server.put(base, workload("a"));
    server.put(base, workload("b"));
    const { heard } = await started({ resyncMs: 10_000 });
    await clock.advance(9_000);
    expect(heard).toEqual(["Added a", "Added b", "Updated a", "Updated b"]);
  });

  test("a listener added late hears of what is there", async () => {
    server.put(base, workload("a"));
    const { reflector } = await started();
    const heard: string[] = [];
    reflector.onChange(({ type, object }) => heard.push(`${type} ${object.metadata.name}`));
    expect(heard).toEqual(["Added a"]);
  });
});

describe("after trouble", () => {
  test("a killed API server that returns is listed again, and the deletion in between is not lost", async () => {
    server.put(base, workload("a"));
    server.put(base, workload("b"));
    const { heard, reflector } = await started();
    await server.kill();
    await eventually(() => reflector.lastError !== undefined);
    server.remove(base, "a");
    server.put(base, workload("c"));
    for (let i = 0; i < 3; i++) await passBackoff(30_000);
    await server.start();
    await passBackoff(30_000);
    await eventually(() => heard.includes("Deleted a") && heard.includes("Added c"));
    expect(heard.filter((each) => each === "Deleted a")).toHaveLength(1);
    expect(reflector.lastError).toBeUndefined();
  });

  test("an object deleted and made again meanwhile is a deletion and an addition", async () => {
    server.put(base, workload("a"));
    const { heard } = await started();
    await server.kill();
    server.remove(base, "a");
    server.put(base, workload("a"));
    await server.start();
    await passBackoff(1_000);
    await eventually(() => heard.length === 3);
    expect(heard).toEqual(["Added a", "Deleted a", "Added a"]);
  });

  test("objects that did not change are not handed out by a relist", async () => {
    server.put(base, workload("a"));
    const { heard } = await started();
    await server.kill();
    await server.start();
    await passBackoff(1_000);
    await eventually(() => server.lists().length === 2 && server.openWatches === 1);
    expect(heard).toEqual(["Added a"]);
  });

  test("410 is listed again at once", async () => {
    server.put(base, workload("a"));
    const { heard } = await started();
    await clock.advance(40_000);
    server.isSilent = true; // the change happens while nobody watches
    server.remove(base, "a");
    server.isSilent = false;
    server.compact();
    server.endWatches();
    await eventually(() => server.watchRequests().length >= 2);
    await clock.advance(0);
    await eventually(() => heard.includes("Deleted a"));
    expect(server.lists()).toHaveLength(2);
  });

  test("410 again and again is asked ever less often", async () => {
    await started();
    server.intercept = ({ query }, response) => {
      if (!query.has("watch")) return false;
      status(response, 410, "Expired", "too old resource version");
      return true;
    };
    await server.kill();
    await server.start();
    const before = server.lists().length;
    for (let second = 0; second < 60; second++) {
      await client.idle();
      await clock.advance(1_000);
    }
    expect(server.lists().length - before).toBeGreaterThanOrEqual(4);
    expect(server.lists().length - before).toBeLessThanOrEqual(8);
  });

  test("a continuation that expired between two pages starts the list anew", async () => {
    for (const name of ["a", "b"]) server.put(base, workload(name));
    server.pageSize = 1;
    let expired = false;
    server.intercept = ({ query }) => {
      if (!query.has("continue") || expired) return false;
      expired = true;
      server.put(base, workload("c"));
      server.compact();
      return false;
    };
    const { reflector, cache } = reflect();
    start(reflector);
    await eventually(() => expired);
    await clock.advance(0);
    await reflector.waitForSync();
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
  });

  test("a half-open watch is found and listed again within 60 s", async () => {
    server.put(base, workload("a"));
    const { heard } = await started();
    server.isSilent = true;
    server.remove(base, "a"); // never heard of
    await clock.advance(46_000);
    server.isSilent = false;
    await clock.advance(1_000);
    await eventually(() => heard.includes("Deleted a"), "the deletion");
    expect(clock.nowMs).toBeLessThanOrEqual(60_000);
  });

  test("when the network swallowed every connection, the list after the watchdog takes a new one", async () => {
    const key = { namespace: "shop", name: "a" };
    server.put(`/apis/apps/v1/namespaces/shop/deployments`, workload("a"));
    const { heard } = await started();
    await Promise.all([1, 2, 3].map(() => client.get(resources.deployments, key))); // idle connections
    server.blackhole();
    server.put(base, workload("b"));
    await clock.advance(46_000);
    await client.idle();
    await clock.advance(1_000);
    await eventually(() => heard.includes("Added b"));
  });

  test("a stream that ends inside a line leads to a list", async () => {
    await started();
    server.writeLine('{"type":"ADDED","object":{"metadata":{"name":"b"', "");
    server.endWatches();
    await passBackoff(1_000);
    await eventually(() => server.lists().length === 2 && server.openWatches === 1);
  });

  test.each([
    { name: "not JSON", line: '{"type":"MODIFIED","obj' },
    { name: "JSON that is no event", line: '{"kind":"Status"}' },
    { name: "an event without metadata", line: '{"type":"ADDED","object":{}}' },
    { name: "null", line: "null" },
  ])("a line that is $name leads to a list and changes nothing", async ({ line }) => {
    server.put(base, workload("a"));
    const { heard } = await started();
    server.writeLine(line);
    await eventually(() => server.openWatches === 0);
    await passBackoff(1_000);
    await eventually(() => server.lists().length === 2 && server.openWatches === 1);
    server.put(base, workload("b"));
    await eventually(() => heard.includes("Added b"));
    expect(heard).toEqual(["Added a", "Added b"]);
  });

  test("an event that comes in pieces, split within a character, is whole", async () => {
    const { cache } = await started();
    const object = { metadata: { name: "a", namespace: "shop", resourceVersion: "500", labels: { n: "größer" } } };
    const bytes = Buffer.from(`${JSON.stringify({ type: "ADDED", object })}\n`);
    const middle = bytes.indexOf(0xc3) + 1;
    server.writeBytes(bytes.subarray(0, middle));
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.writeBytes(bytes.subarray(middle));
    await eventually(() => cache.size === 1);
    expect(cache.list()[0].metadata.labels).toEqual({ n: "größer" });
  });

  test("the waits between lists double from 0.8 s to 30 s", async () => {
    const { reflector } = reflect();
    server.intercept = (_, response) => {
      status(response, 500, "InternalError", "etcd is away");
      return true;
    };
    start(reflector);
    const times: number[] = [];
    while (times.length < 9) {
      await client.idle();
      if (server.lists().length > times.length) times.push(clock.nowMs);
      await clock.advance(100);
    }
    const waits = times.slice(1).map((at, i) => at - times[i]);
    expect(waits.slice(0, 7).map((ms) => Math.round(ms / 200) * 200)).toEqual([
      800, 1600, 3200, 6400, 12_800, 25_600, 30_000,
    ]);
  });

  test("a listener that throws, or rejects, is counted and changes nothing for the others", async () => {
    const registry = new Registry();
    const { reflector, heard } = reflect({ metrics: kubeMetrics(registry) });
    reflector.onChange(() => {
      throw new Error("a fault of ours");
    });
    reflector.onChange(async () => {
      throw new Error("another");
    });
    const last: string[] = [];
    reflector.onChange(({ object }) => last.push(object.metadata.name));
    start(reflector);
    await eventually(() => server.openWatches === 1);
    server.put(base, workload("a"));
    server.put(base, workload("b"));
    await eventually(() => last.length === 2);
    expect(heard).toEqual(["Added a", "Added b"]);
    expect(await registry.metrics()).toContain(
      'forescale_kube_cache_handler_errors_total{resource="deployments.apps"} 4',
    );
  });

  test("an object that breaks an index or the transform is kept, and so are the others", async () => {
    server.put(base, { metadata: { name: "odd", namespace: "shop" } });
    server.put(base, workload("even", 2));
    const { cache } = await started({
      indexes: { byReplicas: (object) => [String(object.spec!.replicas)] },
      transform: (object) => ({ ...object, size: object.spec!.replicas }),
    });
    expect(cache.size).toBe(2);
    expect(cache.byIndex("byReplicas", "2").map(({ metadata }) => metadata.name)).toEqual(["even"]);
  });

  test("ageMs tells for how long nothing was heard", async () => {
    const { reflector } = reflect();
    expect(reflector.ageMs).toBe(Number.POSITIVE_INFINITY);
    start(reflector);
    await eventually(() => server.openWatches === 1);
    await clock.advance(7_000);
    expect(reflector.ageMs).toBe(7_000);
    server.bookmark();
    await eventually(() => reflector.ageMs === 0);
  });

  test("stopping ends the watch, and waitForSync of what never synced", async () => {
    await started();
    const { reflector } = reflect();
    const waiting = reflector.waitForSync(stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await Promise.all(running);
    await eventually(() => server.openWatches === 0);
    expect(clock.pending).toBe(0);
  });
});
