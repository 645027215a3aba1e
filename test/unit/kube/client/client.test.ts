import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KubeClient } from "../../../../src/kube/client/client.ts";
import type { KubeError } from "../../../../src/kube/client/kube-error.ts";
import { resources } from "../../../../src/kube/client/resource.ts";
import { kubeMetrics } from "../../../../src/kube/metrics.ts";
import { answer, FakeApiServer, status } from "../fake-api-server.ts";
import { eventually, FakeClock } from "../fake-clock.ts";

const base = "/apis/apps/v1/namespaces/shop/deployments";
const key = { namespace: "shop", name: "web" };
const { deployments } = resources;

let server: FakeApiServer;
let clock: FakeClock;
let client: KubeClient;

beforeEach(async () => {
  server = await new FakeApiServer().start();
  clock = new FakeClock();
  client = new KubeClient(server.connection("s3cr3t-token"), { clock, random: () => 0 });
});
afterEach(async () => server.kill());

async function failure(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (error) => error,
  );
  if (!error) throw new Error("the call succeeded");
  return error;
}

describe("failures name the object, what happened and the remedy, and never the token", () => {
  test.each([
    { code: 400, reason: "BadRequest", as: "BadRequest" },
    { code: 401, reason: "Unauthorized", as: "Unauthorized" },
    { code: 403, reason: "Forbidden", as: "Forbidden" },
    { code: 404, reason: "NotFound", as: "NotFound" },
    { code: 409, reason: "Conflict", as: "Conflict" },
    { code: 409, reason: "AlreadyExists", as: "AlreadyExists" },
    { code: 410, reason: "Expired", as: "Gone" },
    { code: 422, reason: "Invalid", as: "Invalid" },
    { code: 429, reason: "TooManyRequests", as: "TooManyRequests" },
    { code: 500, reason: "InternalError", as: "ServerError" },
    { code: 504, reason: "Timeout", as: "Timeout" },
  ])("$code $reason is $as", async ({ code, reason, as }) => {
    server.intercept = (_, response) => {
      status(response, code, reason, "because of this\nand that");
      return true;
    };
    const error = await failure(client.get(deployments, key));
    expect(error).toMatchObject({ name: "KubeError", code: as, status: code, object: "deployments.apps shop/web" });
    expect(error.message).toContain("get deployments.apps shop/web: because of this and that");
    expect(error.message).not.toContain("s3cr3t");
  });

  test("a server that is not there is Unreachable, by host and port", async () => {
    await server.kill();
    const error = await failure(client.get(deployments, key));
    expect(error.code).toBe("Unreachable");
    expect(error.message).toMatch(/the API server at 127\.0\.0\.1:\d+ did not answer \(ECONNREFUSED\)/);
    await server.start();
  });

  test("an answer cut short is an error, not a shorter object", async () => {
    server.intercept = (_, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": 100 });
      response.write('{"metadata":{');
      setTimeout(() => response.destroy(), 20);
      return true;
    };
    expect((await failure(client.get(deployments, key))).code).toBe("Unreachable");
  });

  test("JSON that does not parse is BadAnswer, and nothing of it is quoted, not by the cause either", async () => {
    server.intercept = (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"data":{"password": hunter2');
      return true;
    };
    const error = await failure(client.get(deployments, key));
    expect(error.code).toBe("BadAnswer");
    expect(`${error.message} ${error.cause}`).not.toContain("hunter2");
  });

  test("a proxy's HTML page with status 502 is ServerError", async () => {
    server.intercept = (_, response) => {
      response.writeHead(502, { "content-type": "text/html" });
      response.end("<html>Bad gateway</html>");
      return true;
    };
    expect(await failure(client.get(deployments, key))).toMatchObject({ code: "ServerError", status: 502 });
  });

  test("no answer within the call's time is Timeout, and the connection is dropped", async () => {
    server.intercept = () => true;
    const result = failure(client.get(deployments, key, { timeoutMs: 5_000 }));
    await eventually(() => server.seen.length === 1);
    await clock.advance(5_000);
    expect((await result).message).toContain("within 5 s");
  });

  test("a name that would leave its path is refused before it is sent", async () => {
    for (const name of ["..", "a/b", ""])
      await expect(async () => client.get(deployments, { namespace: "shop", name })).rejects.toThrow(TypeError);
    expect(server.seen).toHaveLength(0);
  });
});

describe("calls are tried again only where that is safe", () => {
  test("429 with Retry-After is waited out", async () => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    let left = 2;
    server.intercept = (_, response) => {
      if (left-- <= 0) return false;
      status(response, 429, "TooManyRequests", "slow down", { "retry-after": "3" });
      return true;
    };
    const result = client.get(deployments, key);
    await eventually(() => server.seen.length === 1);
    await clock.advance(2_900);
    expect(server.seen).toHaveLength(1);
    await clock.advance(200);
    await eventually(() => server.seen.length === 2);
    await clock.advance(3_000);
    expect((await result).metadata.name).toBe("web");
  });

  test("after five tries the 429 is passed on", async () => {
    server.intercept = (_, response) => {
      status(response, 429, "TooManyRequests", "slow down", { "retry-after": "1" });
      return true;
    };
    const result = failure(client.get(deployments, key));
    for (let tries = 1; tries <= 5; tries++) {
      await eventually(() => server.seen.length === tries);
      await eventually(() => tries === 5 || clock.pending === 1);
      await clock.advance(1_000);
    }
    expect((await result).code).toBe("TooManyRequests");
    expect(server.seen).toHaveLength(5);
  });

  test("after a 401 the credentials are read anew, once", async () => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    let token = "old";
    const connection = {
      ...server.connection(),
      credentials: {
        read: async () => ({ headers: { authorization: `Bearer ${token}` } }),
        distrust: () => {
          token = "new";
        },
      },
    };
    server.intercept = ({ headers }, response) => {
      if (headers.authorization === "Bearer new") return false;
      status(response, 401, "Unauthorized", "Unauthorized");
      return true;
    };
    await new KubeClient(connection, { clock }).get(deployments, key);
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(["Bearer old", "Bearer new"]);
  });

  test.each([
    { method: "GET", requests: 3, run: () => client.get(deployments, key) },
    {
      method: "POST",
      requests: 2,
      run: () => client.create(deployments, { metadata: { ...key, name: "other" } }),
    },
  ])("$method on a kept connection that breaks: $requests requests in all", async ({ run, requests }) => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    await client.get(deployments, key); // leaves a connection behind
    let breaks = 1;
    server.intercept = (_, response) => {
      if (breaks-- <= 0) return false;
      response.socket?.destroy();
      return true;
    };
    const result = run().then(
      () => "Done",
      (error: KubeError) => error.code,
    );
    expect(await result).toBe(requests === 3 ? "Done" : "Unreachable");
    expect(server.seen).toHaveLength(requests);
  });
});

describe("the rate limit", () => {
  test("lets the burst pass at once and the rest at its rate, in order", async () => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    client = new KubeClient(server.connection(), { clock, qps: 2, burst: 3 });
    const done: number[] = [];
    const all = Promise.all(
      [0, 1, 2, 3, 4].map(async (i) => {
        await client.get(deployments, key);
        done.push(i);
      }),
    );
    await eventually(() => done.length === 3);
    await clock.advance(499);
    expect(server.seen).toHaveLength(3);
    await clock.advance(2);
    await eventually(() => done.length === 4);
    await clock.advance(500);
    await all;
    expect(done.toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(done.slice(3)).toEqual([3, 4]);
  });

  test("does not hold up an exempt call", async () => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    client = new KubeClient(server.connection(), { clock, qps: 1, burst: 1 });
    await client.get(deployments, key);
    await client.get(deployments, key, { exempt: true });
    expect(server.seen).toHaveLength(2);
  });

  test("an aborted call gives its place back", async () => {
    server.put(base, { metadata: { name: "web", namespace: "shop" } });
    client = new KubeClient(server.connection(), { clock, qps: 1, burst: 1 });
    await client.get(deployments, key);
    const abort = new AbortController();
    const given = failure(client.get(deployments, key, { signal: abort.signal }));
    const next = client.get(deployments, key);
    abort.abort(new Error("not needed any more"));
    expect((await given).message).toBe("not needed any more");
    await clock.advance(2_000);
    await next;
    await client.get(deployments, key); // the place given back: no wait
    expect(server.seen).toHaveLength(3);
  });
});

test("after a timeout no idle connection is used, since they may be as dead", async () => {
  server.put(base, { metadata: { name: "web", namespace: "shop" } });
  await Promise.all([1, 2, 3].map(() => client.get(deployments, key))); // leaves three connections
  server.blackhole();
  const result = failure(client.get(deployments, key, { timeoutMs: 5_000 }));
  await eventually(() => server.seen.length === 4);
  await clock.advance(5_000);
  expect((await result).code).toBe("Timeout");
  expect((await client.get(deployments, key)).metadata.name).toBe("web");
});

test("a list is read by pages of at most 500 and each object has its kind", async () => {
  for (let i = 0; i < 7; i++) server.put(base, { metadata: { name: `web-${i}`, namespace: "shop" } });
  server.pageSize = 3;
  const { items } = await client.list(deployments, { namespace: "shop", labelSelector: "a=b", fieldSelector: "c=d" });
  expect(items.map(({ metadata }) => metadata.name)).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `web-${i}`));
  expect(items[0]).toMatchObject({ kind: "Deployment", apiVersion: "apps/v1" });
  const queries = server
    .lists()
    .map(({ query }) => [query.get("limit"), query.get("labelSelector"), query.get("fieldSelector")]);
  expect(queries).toEqual(Array(3).fill(["500", "a=b", "c=d"]));
});

test("find and remove take a missing object for an answer", async () => {
  expect(await client.find(deployments, key)).toBeUndefined();
  expect(await client.remove(deployments, key)).toBe(false);
});

test("replace is refused when the object changed meanwhile", async () => {
  const old = server.put(base, { metadata: { name: "web", namespace: "shop" } });
  server.put(base, { metadata: { name: "web", namespace: "shop", labels: { a: "b" } } });
  expect((await failure(client.replace(deployments, old))).code).toBe("Conflict");
});

test("metrics count calls by verb, resource and status", async () => {
  const registry = new Registry();
  client = new KubeClient(server.connection(), { clock, metrics: kubeMetrics(registry) });
  await client.find(deployments, key);
  expect(await registry.metrics()).toContain(
    'forescale_kube_requests_total{verb="get",resource="deployments.apps",code="404"} 1',
  );
});

test("text that is not JSON comes back as text", async () => {
  server.intercept = (_, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.end("ok");
    return true;
  };
  expect(await client.call({ path: "/readyz" })).toBe("ok");
});

test("characters outside ASCII survive the way there and back", async () => {
  server.intercept = (seen, response) => {
    answer(response, 200, seen.body);
    return true;
  };
  const object = { metadata: { name: "web", namespace: "shop", annotations: { note: "größer 規模 🚀" } } };
  expect(await client.create(deployments, object)).toEqual(object);
});
