import type { ServerResponse } from "node:http";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { CollectError } from "../../../../src/collect/collect-error.ts";
import { Credentials } from "../../../../src/collect/http/credentials.ts";
import { readAnswer } from "../../../../src/collect/prometheus/answer.ts";
import {
  PrometheusClient,
  type PrometheusOptions,
  type RequestReport,
} from "../../../../src/collect/prometheus/prometheus.ts";
import { matrixOf, type Stub, type StubRequest, startStub, succeed } from "../stub.ts";

const stubs: Stub[] = [];
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.close()));
});

async function stubbed(
  answer: (request: StubRequest, response: ServerResponse, number: number) => void,
): Promise<Stub> {
  const stub = await startStub(answer);
  stubs.push(stub);
  return stub;
}

const startMs = Date.UTC(2026, 0, 5);
const start = startMs / 1000;
const range = { startMs, endMs: startMs + 600_000, stepMs: 60_000 };
const nowMs = range.endMs;

function clientOf(stub: Stub, options: Partial<PrometheusOptions> = {}): PrometheusClient {
  return new PrometheusClient({
    name: "main",
    url: stub.url,
    addresses: { allowLoopback: true },
    now: () => nowMs,
    retries: { attempts: 3, random: () => 1, sleep: async () => undefined },
    ...options,
  });
}

async function failure(promise: Promise<unknown>): Promise<CollectError> {
  const error = await promise.then(
    () => undefined,
    (caught) => caught,
  );
  expect(error).toBeInstanceOf(CollectError);
  return error as CollectError;
}

describe("an answer that is wrong is refused with a word and a remedy", () => {
  const json = (body: unknown) => (_: StubRequest, response: ServerResponse) => void response.end(JSON.stringify(body));
  test.each<{
    name: string;
    code: string;
    says: RegExp;
    answer: (request: StubRequest, response: ServerResponse) => void;
  }>([
    {
      name: "67: status error with 200",
      code: "BadQuery",
      says: /parse error/,
      answer: json({ status: "error", errorType: "bad_data", error: "parse error at 1" }),
    },
    {
      name: "status error of another kind with 200",
      code: "BadAnswer",
      says: /storage is gone/,
      answer: json({ status: "error", errorType: "internal", error: "storage is gone" }),
    },
    {
      name: "68: a vector instead of a matrix",
      code: "BadAnswer",
      says: /a vector where a matrix/,
      answer: (_, response) => succeed(response, "vector", [{ metric: {}, value: [start, "1"] }]),
    },
    {
      name: "69: two series, naming both",
      code: "ManySeries",
      says: /\{pod="a"\} and \{pod="b"\}.*sum/,
      answer: (_, response) =>
        succeed(response, "matrix", [
          { metric: { pod: "a" }, values: [[start, "1"]] },
          { metric: { pod: "b" }, values: [[start, "1"]] },
        ]),
    },
    {
      name: "72: stamps in milliseconds",
      code: "WrongTime",
      says: /not in seconds/,
      answer: (_, response) => succeed(response, "matrix", matrixOf([[startMs, "1"]])),
    },
    {
      name: "a sample of the future",
      code: "WrongTime",
      says: /future/,
      answer: (_, response) => succeed(response, "matrix", matrixOf([[nowMs / 1000 + 121, "1"]])),
    },
    {
      name: "a sample of long before",
      code: "WrongTime",
      says: /before the time asked/,
      answer: (_, response) => succeed(response, "matrix", matrixOf([[start - 86_400, "1"]])),
    },
    {
      name: "73: a truncated gzip body",
      code: "BadAnswer",
      says: /damaged gzip/,
      answer: (_, response) => {
        const whole = gzipSync(JSON.stringify({ status: "success", data: { resultType: "matrix", result: [] } }));
        response.writeHead(200, { "content-encoding": "gzip" }).end(whole.subarray(0, whole.length - 12));
      },
    },
    {
      name: "a body that is not gzip",
      code: "BadAnswer",
      says: /damaged gzip/,
      answer: (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("{}"),
    },
    {
      name: "an encoding that nobody asked for",
      code: "BadAnswer",
      says: /encoding __proto__/,
      answer: (_, response) => void response.writeHead(200, { "content-encoding": "__proto__" }).end("{}"),
    },
    {
      name: "75: a redirect to the metadata address",
      code: "Redirected",
      says: /not followed/,
      answer: (_, response) => void response.writeHead(302, { location: "http://169.254.169.254/latest" }).end(),
    },
    { name: "HTML", code: "BadAnswer", says: /not JSON/, answer: (_, response) => void response.end("<html>") },
    { name: "JSON that is null", code: "BadAnswer", says: /no answer of its API/, answer: json(null) },
    { name: "success without data", code: "BadAnswer", says: /status and data/, answer: json({ status: "success" }) },
    {
      name: "a value that is no number",
      code: "BadAnswer",
      says: /no number: 0x10/,
      answer: (_, response) => succeed(response, "matrix", matrixOf([[start, "0x10"]])),
    },
    {
      name: "a native histogram",
      code: "BadAnswer",
      says: /native histograms.*histogram_quantile/,
      answer: (_, response) => succeed(response, "matrix", [{ metric: {}, histograms: [[start, { count: "1" }]] }]),
    },
    { name: "401", code: "Unauthorized", says: /Secret/, answer: (_, response) => void response.writeHead(401).end() },
    { name: "404", code: "NotFound", says: /api\/v1/, answer: (_, response) => void response.writeHead(404).end() },
    {
      name: "422 with the store's words",
      code: "BadQuery",
      says: /many-to-many/,
      answer: (_, response) => void response.writeHead(422).end(JSON.stringify({ error: "many-to-many matching" })),
    },
    { name: "204", code: "BadAnswer", says: /204/, answer: (_, response) => void response.writeHead(204).end() },
  ])("$name", async ({ answer, code, says }) => {
    const stub = await stubbed(answer);
    const error = await failure(clientOf(stub).rangeOfOne("load", range));
    expect(error.message).toMatch(says);
    expect(error.message).toMatch(/^metric source main \(127\.0\.0\.1:\d+\)/);
    expect(error.code).toBe(code);
    expect(stub.requests).toHaveLength(1); // none of these is mended by asking again
  });

  test("68: a matrix instead of a vector", async () => {
    const stub = await stubbed((_, response) => succeed(response, "matrix", matrixOf([[start, "1"]])));
    const error = await failure(clientOf(stub).instant("load[5m]"));
    expect(error).toMatchObject({ code: "BadAnswer", message: expect.stringContaining("trailing range") });
  });
});

describe("what is merely untidy is put in order", () => {
  test("70, 71: NaN, ±Inf and stale are gaps; stamps are sorted, and of two alike the last wins", async () => {
    const stub = await stubbed((_, response) =>
      succeed(
        response,
        "matrix",
        matrixOf([
          [start + 240, "5"],
          [start + 180, "-Inf"],
          [start + 120, "+Inf"],
          [start + 60, "1"],
          [start + 60, "2"],
          [start, "NaN"],
        ]),
      ),
    );
    const { timesMs, values } = await clientOf(stub).rangeOfOne("load", range);
    expect([...timesMs]).toEqual([0, 60, 120, 180, 240].map((s) => startMs + s * 1000));
    expect([...values]).toEqual([NaN, 2, NaN, NaN, 5]);
  });

  test("no series is no samples, and warnings are passed on", async () => {
    const warnings: string[] = [];
    const stub = await stubbed((_, response) =>
      succeed(response, "matrix", [], { warnings: ["one shard is down\u001b[31m"] }),
    );
    const client = clientOf(stub, { onWarning: (warning) => warnings.push(warning) });
    expect((await client.rangeOfOne("load", range)).values).toHaveLength(0);
    expect(warnings).toEqual(["one shard is down [31m"]);
  });

  test("a scalar answers an instant query", async () => {
    const stub = await stubbed((_, response) => succeed(response, "scalar", [nowMs / 1000, "7"]));
    expect(await clientOf(stub).instant("7")).toEqual([{ labels: new Map(), timeMs: nowMs, value: 7 }]);
  });

  test("labels named like parts of JavaScript stay labels", async () => {
    const body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__proto__":"x"},"value":[${nowMs / 1000},"1"]}]}}`;
    const stub = await stubbed((_, response) => void response.end(body));
    const [{ labels }] = await clientOf(stub).instant("load");
    expect([...labels]).toEqual([["__proto__", "x"]]);
  });
});

describe("bounds hold whatever the store does", () => {
  test("F20: a slow drip is cut at the deadline", async () => {
    const timers: NodeJS.Timeout[] = [];
    const stub = await stubbed((_, response) => {
      response.writeHead(200);
      timers.push(setInterval(() => response.write(" "), 20));
    });
    const error = await failure(clientOf(stub, { timeoutMs: 300 }).rangeOfOne("load", range));
    timers.forEach(clearInterval);
    expect(error.code).toBe("Timeout");
    expect(stub.requests).toHaveLength(1); // a slow store is not asked again
  });

  test("a store that says nothing is cut at the deadline, and so is a slow drip of gzip", async () => {
    const stub = await stubbed((request, response) => {
      if (request.parameters.get("query") === "drip")
        response.writeHead(200, { "content-encoding": "gzip" }).write(gzipSync("x").subarray(0, 5));
    });
    const client = clientOf(stub, { timeoutMs: 200 });
    expect((await failure(client.rangeOfOne("silent", range))).code).toBe("Timeout");
    expect((await failure(client.rangeOfOne("drip", range))).code).toBe("Timeout");
  });

  test("74: a gzip bomb is cut at 64 MiB", async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20));
    expect(bomb.length).toBeLessThan(2 ** 20);
    const stub = await stubbed((_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(bomb));
    const before = process.memoryUsage().arrayBuffers;
    const error = await failure(clientOf(stub).rangeOfOne("load", { ...range, endMs: range.startMs }));
    expect(error).toMatchObject({ code: "TooLarge", message: expect.stringContaining("64 MiB") });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(150 * 2 ** 20);
  });

  test("a body announced as too large is not read", async () => {
    const stub = await stubbed((_, response) => void response.writeHead(200, { "content-length": 2 ** 40 }).write("{"));
    expect((await failure(clientOf(stub).instant("load"))).code).toBe("TooLarge");
  });

  test("more than 250,000 samples are refused, on a worker thread", async () => {
    const values = Array.from({ length: 250_001 }, () => [start, "1"]);
    const stub = await stubbed((_, response) => succeed(response, "matrix", [{ metric: {}, values }]));
    const error = await failure(clientOf(stub).rangeOfOne("load", { ...range, endMs: range.startMs }));
    expect(error).toMatchObject({ code: "TooLarge", message: expect.stringContaining("250000 samples") });
  });

  test("a large answer is parsed beside the event loop, and is the same", async () => {
    const wide = { startMs, endMs: startMs + 3_999_000, stepMs: 1_000 };
    const result = Array.from({ length: 60 }, (_, i) => ({
      metric: { pod: `p${i}` },
      values: Array.from({ length: 4_000 }, (__, k) => [start + k, `${i}.${k}`]),
    }));
    const body = JSON.stringify({ status: "success", data: { resultType: "matrix", result } });
    // The thread's own time, as other programs share the machine.
    const before = process.threadCpuUsage().user;
    readAnswer(body, { expect: "matrix", earliestMs: 0, latestMs: wide.endMs, maxSamples: 250_000 });
    const parsing = process.threadCpuUsage().user - before;

    const stub = await stubbed((_, response) => void response.end(body));
    const began = process.threadCpuUsage().user;
    const series = await clientOf(stub, { now: () => wide.endMs }).range("load", wide);
    const spent = process.threadCpuUsage().user - began;
    expect(series).toHaveLength(60);
    expect(series[59].labels.get("pod")).toBe("p59");
    expect(series[59].values[3_999]).toBe(59.3999);
    expect(spent).toBeLessThan(parsing);
  });

  test("JSON that is all brackets ends neither the program nor the thread that reads it", async () => {
    const stub = await stubbed((_, response) => void response.end("[".repeat(3 * 2 ** 20)));
    expect((await failure(clientOf(stub).instant("load"))).code).toBe("BadAnswer");
  });

  test("a range whose answers are too large together is refused", async () => {
    const stub = await stubbed((request, response) => {
      const from = Number(request.parameters.get("start"));
      succeed(
        response,
        "matrix",
        matrixOf([
          [from, "1"],
          [from + 1, "1"],
        ]),
      );
    });
    const wide = { startMs, endMs: startMs + 3_000, stepMs: 1_000 };
    const client = clientOf(stub, { maxSamples: 2, maxRangeSamples: 3 });
    expect((await failure(client.range("load", wide))).code).toBe("TooLarge");
  });

  test("an answer that is too large is asked for in halves", async () => {
    const stub = await stubbed((request, response) => {
      const [from, to] = [Number(request.parameters.get("start")), Number(request.parameters.get("end"))];
      const stamps = Array.from({ length: (to - from) / 60 + 1 }, (_, i) => from + i * 60);
      succeed(
        response,
        "matrix",
        ["a", "b"].map((pod) => ({ metric: { pod }, values: stamps.map((t) => [t, "1"]) })),
      );
    });
    const series = await clientOf(stub, { maxSamples: 8 }).range("load", range);
    expect(series.map(({ values }) => values.length)).toEqual([11, 11]);
    expect(stub.requests.length).toBeGreaterThan(1);
  });
});

describe("failures that pass are tried again, others are not", () => {
  test("F21: a 429 is tried again after the pause that the store asks for, up to a bound", async () => {
    const pauses: number[] = [];
    const stub = await stubbed((_, response, number) => {
      if (number === 1) response.writeHead(429, { "retry-after": "3" }).end();
      else if (number === 2) response.writeHead(503, { "retry-after": "9999" }).end();
      else succeed(response, "matrix", matrixOf([[start, "1"]]));
    });
    const sleep = async (ms: number) => void pauses.push(ms);
    const client = clientOf(stub, { retries: { attempts: 3, random: () => 0.5, sleep } });
    expect((await client.rangeOfOne("load", range)).values).toHaveLength(1);
    expect(pauses).toEqual([3_000, 5_000]);
  });

  test("pauses grow and are random", async () => {
    const pauses: number[] = [];
    const stub = await stubbed((_, response) => void response.writeHead(500).end());
    const random = [0.25, 0.75][Symbol.iterator]();
    const client = clientOf(stub, {
      retries: { attempts: 3, random: () => random.next().value!, sleep: async (ms) => void pauses.push(ms) },
    });
    expect((await failure(client.instant("load"))).code).toBe("ServerError");
    expect(pauses).toEqual([0.25 * 250, 0.75 * 500]);
  });

  test("a connection that breaks is tried again", async () => {
    const stub = await stubbed((_, response, number) => {
      if (number < 3) response.socket?.destroy();
      else succeed(response, "matrix", []);
    });
    await clientOf(stub).rangeOfOne("load", range);
    expect(stub.requests).toHaveLength(3);
  });

  test("F16: a store that is down is Unreachable, with the remedy", async () => {
    const stub = await startStub(() => undefined);
    await stub.close();
    const error = await failure(clientOf(stub).instant("load"));
    expect(error).toMatchObject({
      code: "Unreachable",
      message: expect.stringMatching(/refuses the connection; check that/),
    });
    expect(error.cause).toBeInstanceOf(Error);
  });

  test("a caller that gives up is obeyed at once", async () => {
    const stub = await stubbed(() => undefined);
    const gone = new AbortController();
    setTimeout(() => gone.abort(), 50);
    const error = await failure(clientOf(stub).instant("load", { signal: gone.signal }));
    expect(error.code).toBe("Stopped");
  });
});

describe("credentials go to their source and nowhere else", () => {
  const secret = "s3cr3t-token";

  test("they are sent, and never shown", async () => {
    const stub = await stubbed((request, response) => {
      if (request.headers.authorization !== `Bearer ${secret}`) response.writeHead(401).end();
      // A careless server repeats what it was sent.
      else response.writeHead(400).end(JSON.stringify({ error: `bad: ${JSON.stringify(request.headers)}` }));
    });
    const credentials = new Credentials({ bearerToken: `${secret}\n`, headers: { "X-Scope-OrgID": "tenant-1" } });
    const reports: RequestReport[] = [];
    const client = clientOf(stub, { credentials, onRequest: (report) => reports.push(report) });
    const error = await failure(client.instant("load"));
    expect(stub.requests[0].headers["x-scope-orgid"]).toBe("tenant-1");
    expect(error.message).toContain("[redacted]");
    for (const shown of [
      error.message,
      error.stack,
      inspect(client, { depth: 9, showHidden: true }),
      JSON.stringify(credentials),
      inspect(credentials),
      JSON.stringify(reports),
    ])
      expect(shown).not.toContain(secret);
    expect(reports).toMatchObject([{ source: "main", code: "BadQuery", samples: 0 }]);
  });

  test("user and password are Basic", async () => {
    const stub = await stubbed((_, response) => succeed(response, "vector", []));
    await clientOf(stub, { credentials: new Credentials({ basic: { username: "u", password: "pä:ss" } }) }).instant(
      "load",
    );
    expect(stub.requests[0].headers.authorization).toBe(`Basic ${Buffer.from("u:pä:ss").toString("base64")}`);
  });

  test.each([
    [{ bearerToken: "a\nb" }, /bearer token has characters/],
    [{ headers: { "X-A": "secret\r\nX-B: 1" } }, /value of the request header X-A/],
    [{ headers: { "content-length": "1" } }, /'content-length' cannot be set/],
    [{ bearerToken: "a", basic: { username: "u", password: "p" } }, /not both/],
  ])("%o cannot be sent", (values, says) => {
    expect(() => new Credentials(values)).toThrow(says);
  });
});

test("long queries are posted as a form, short ones asked for", async () => {
  const stub = await stubbed((_, response) => succeed(response, "vector", []));
  const client = clientOf(stub);
  const long = `sum(load{pod=~"${"x".repeat(3_000)}"})`;
  await client.instant("load");
  await client.instant(long);
  expect(stub.requests.map(({ method }) => method)).toEqual(["GET", "POST"]);
  expect(stub.requests[1].parameters.get("query")).toBe(long);
});

test("a path before the API is kept, with or without a slash at its end", async () => {
  const stub = await stubbed((_, response) => succeed(response, "vector", []));
  await clientOf(stub, { url: `${stub.url}/prom/` }).instant("load");
  await clientOf(stub, { url: `${stub.url}/prom` }).instant("load");
  expect(stub.requests.map(({ path }) => path)).toEqual(["/prom/api/v1/query", "/prom/api/v1/query"]);
});

describe("76: names are resolved once, checked and pinned", () => {
  test("a name that resolves to a refused address is not called", async () => {
    const stub = await stubbed((_, response) => succeed(response, "vector", []));
    const client = clientOf(stub, {
      url: `http://store.example:${stub.port}`,
      resolve: async () => [
        { address: "127.0.0.1", family: 4 },
        { address: "169.254.169.254", family: 4 },
      ],
    });
    const error = await failure(client.instant("load"));
    expect(error).toMatchObject({ code: "BadAddress", message: expect.stringContaining("169.254.169.254") });
    expect(stub.requests).toHaveLength(0);
  });

  test("a name that later resolves elsewhere is not followed, and checked anew once the connection fails", async () => {
    const stub = await stubbed((_, response) => {
      response.setHeader("connection", "close"); // each request connects anew
      succeed(response, "vector", []);
    });
    let asked = 0;
    const client = clientOf(stub, {
      url: `http://store.example:${stub.port}`,
      resolve: async () => [{ address: asked++ === 0 ? "127.0.0.1" : "169.254.169.254", family: 4 }],
    });
    await client.instant("load");
    await client.instant("load");
    expect(stub.requests).toHaveLength(2);
    expect(asked).toBe(1);
    stubs.splice(stubs.indexOf(stub), 1);
    await stub.close();
    const error = await failure(client.instant("load"));
    expect(error.code).toBe("BadAddress");
    expect(asked).toBe(2);
  });
});

test("closing leaves a request under way to end as it would", async () => {
  const stub = await stubbed((_, response) => void setTimeout(() => succeed(response, "vector", []), 100));
  const client = clientOf(stub);
  const running = client.instant("load");
  setTimeout(() => client.close(), 30);
  expect(await running).toEqual([]);
});
