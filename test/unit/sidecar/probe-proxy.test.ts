import { createServer } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { createServer as createTls } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ProbeHandler, ProbeKind, ProbeTarget } from "../../../src/pods/probes.ts";
import { createProbeProxy, type Presence, type ProbeProxy } from "../../../src/sidecar/probe-proxy.ts";
import { type Credentials, makeCredentials } from "../serve/serve-world.ts";

const open: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A proxy for one probe, and what it answers. */
async function proxied(
  handler: ProbeHandler,
  {
    probe = "liveness",
    presence = () => "Serves",
    timeoutSeconds = 1,
  }: Partial<{
    probe: ProbeKind;
    presence: () => Presence;
    timeoutSeconds: number;
  }> = {},
): Promise<{ code: number; body: string }> {
  const target: ProbeTarget = { container: "app", probe, timeoutSeconds, handler };
  const proxy: ProbeProxy = createProbeProxy({ targets: [target], presence });
  open.push(() => proxy.close());
  const { port } = await proxy.listen(0, "127.0.0.1");
  const answer = await fetch(`http://127.0.0.1:${port}/probes/app/${probe}`, { redirect: "manual" });
  return { code: answer.status, body: await answer.text() };
}

const http = (port: number, more: Partial<Extract<ProbeHandler, { type: "HttpGet" }>> = {}): ProbeHandler => ({
  type: "HttpGet",
  scheme: "HTTP",
  port,
  path: "/healthz?full=1",
  headers: [],
  ...more,
});

describe("while the application serves, it is asked as the user wrote", () => {
  test.each([200, 204, 302, 404, 500])("over HTTP: %i is passed on", async (code) => {
    const seen: string[] = [];
    const port = await listening(
      createServer((request, response) => {
        seen.push(`${request.method} ${request.url} ${request.headers["x-probe"]} ${request.headers.host}`);
        response.writeHead(code, { location: "/elsewhere" }).end(code === 204 ? undefined : "as it is");
      }),
    );
    const headers = [
      { name: "X-Probe", value: "mine" },
      { name: "Host", value: "shop.example" },
    ];
    const answer = await proxied(http(port, { headers }));
    expect(answer).toEqual({ code, body: code === 204 ? "" : "as it is" });
    expect(seen).toEqual(["GET /healthz?full=1 mine shop.example"]);
  });

  test("over HTTPS, with a certificate that nobody vouches for", async () => {
    const { certificate, key } = credentials.serving;
    const port = await listening(createTls({ cert: certificate, key }, (_, response) => response.end("secret")));
    expect(await proxied(http(port, { scheme: "HTTPS" }))).toEqual({ code: 200, body: "secret" });
  });

  test("by a connection", async () => {
    const port = await listening(createTcp((socket) => socket.end()));
    expect((await proxied({ type: "TcpSocket", port })).code).toBe(200);
  });

  test.each([
    { name: "serving", status: "0", health: [0x08, 1], code: 200 },
    { name: "not serving", status: "0", health: [0x08, 2], code: 503 },
    { name: "unknown, which protobuf leaves out", status: "0", health: [], code: 503 },
    { name: "a service that is not known", status: "5", health: [], code: 503 },
  ])("by gRPC: $name", async ({ status, health, code }) => {
    const asked: string[] = [];
    const port = await listening(
      createHttp2().on("stream", (stream, headers) => {
        stream.on("data", (chunk: Buffer) => asked.push(`${headers[":path"]} ${chunk.subarray(7).toString()}`));
        stream.on("end", () => {
          stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
          stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
          stream.end(Buffer.from([0, 0, 0, 0, health.length, ...health]));
        });
      }) as unknown as Server,
    );
    expect((await proxied({ type: "Grpc", port, service: "shop.Cart" })).code).toBe(code);
    expect(asked).toEqual(["/grpc.health.v1.Health/Check shop.Cart"]);
  });

  test("an application that is slower than its user allows is unhealthy, and the answer says after how long", async () => {
    const port = await listening(createServer(() => {}));
    const answer = await proxied(http(port), { timeoutSeconds: 1 });
    expect(answer.code).toBe(503);
    expect(answer.body).toContain("liveness probe of app: no answer within 1 s");
  });

  test("an application that does not listen is unhealthy", async () => {
    const server = createTcp();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    for (const handler of [http(port), { type: "TcpSocket", port }, { type: "Grpc", port, service: "" }] as const) {
      const answer = await proxied(handler);
      expect(answer.code).toBe(503);
      expect(answer.body).toMatch(/ECONNREFUSED/);
    }
  });
});

describe("while it is away, nobody asks it", () => {
  test.each<[ProbeKind, Presence, number]>([
    ["liveness", "Away", 200],
    ["startup", "Away", 200],
    ["readiness", "Away", 503],
    ["liveness", "Overdue", 503],
    ["readiness", "Overdue", 503],
  ])("%s when %s: %i", async (probe, presence, code) => {
    let asked = 0;
    const port = await listening(
      createServer((_, response) => {
        asked++;
        response.end();
      }),
    );
    expect((await proxied(http(port), { probe, presence: () => presence })).code).toBe(code);
    expect(asked).toBe(0);
  });

  test("a freeze in the midst of a probe says nothing of the application's health", async () => {
    let presence: Presence = "Serves";
    const port = await listening(
      createServer(() => {
        presence = "Away";
      }),
    );
    expect((await proxied(http(port), { presence: () => presence })).code).toBe(200);
  });
});

test("what is no probe of the pod is not found", async () => {
  const proxy = createProbeProxy({ targets: [], presence: () => "Serves" });
  open.push(() => proxy.close());
  const { port } = await proxy.listen(0, "127.0.0.1");
  expect((await fetch(`http://127.0.0.1:${port}/probes/app/liveness`)).status).toBe(404);
});

let credentials: Credentials;
beforeAll(async () => {
  credentials = await makeCredentials();
});
