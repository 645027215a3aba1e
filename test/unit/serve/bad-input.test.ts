import { connect as connectHttp2 } from "node:http2";
import { Agent, request } from "node:https";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identityOf } from "../../../src/serve/access/identity.ts";
import { defaultLimits } from "../../../src/serve/http/limits.ts";
import { rows } from "./bad-input.ts";
import { dial, dialRaw, type Peer } from "./dial.ts";
import {
  type Credentials,
  makeCredentials,
  metricPath,
  query,
  type Server,
  startServer,
  worldOf,
} from "./serve-world.ts";

let credentials: Credentials;
let server: Server;
let peer: Peer;

beforeAll(async () => {
  credentials = await makeCredentials();
  ({ server, peer } = await startServer(credentials));
});
afterAll(() => server.close());

describe("each bad request has its answer", () => {
  test.each(rows)("$row: $name", async ({ request: ask, codes, says }) => {
    const { code, headers, body } = await dial(peer, ask(worldOf(credentials)));
    expect(codes).toContain(code);
    if (says) expect(body).toMatch(says);
    expect(headers["retry-after"]).toBeUndefined();
    if (code === 431) return; // Node's own answer, before there is a request
    expect(headers["x-content-type-options"]).toBe("nosniff");
    if (code >= 400 && body !== "") {
      expect(headers["content-type"]).toBe("application/json");
      expect(JSON.parse(body)).toMatchObject({ kind: "Status", apiVersion: "v1", status: "Failure", code });
      expect(JSON.parse(body).details?.retryAfterSeconds).toBeUndefined();
    }
  });

  test("10: after too large headers the server goes on", async () => {
    await dial(peer, { path: metricPath, headers: ["X-Padding", "x".repeat(300 * 1024)] }).catch(() => {});
    expect((await dial(peer, { path: "/livez" })).code).toBe(200);
  });

  test("12: when tokens or access can't be reviewed the answer is 500, and nobody is let in", async () => {
    const outage = () => Promise.reject(new Error("no API server"));
    const headers = ["Authorization", "Bearer good"];
    const noTokens = await startServer(credentials, { reviewToken: outage });
    const noAccess = await startServer(credentials, { reviewAccess: outage });
    for (const each of [noTokens, noAccess]) {
      expect((await dial(each.peer, { path: `${metricPath}?${query}`, headers })).code).toBe(500);
      await each.server.close();
    }
  });

  test("31: TLS 1.1 is refused in the handshake", async () => {
    const failure = await new Promise<Error>((resolve, reject) => {
      const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
      const socket = connect({ ...peer, ...old }, () => reject(new Error("it was accepted")));
      socket.on("error", resolve);
    });
    expect((failure as NodeJS.ErrnoException).code).toMatch(/ALERT|PROTOCOL|ECONNRESET/);
  });

  test("32: HTTP/2 is not spoken, so streams can't be opened and reset", async () => {
    const failure = await new Promise<Error>((resolve, reject) => {
      const session = connectHttp2(`https://127.0.0.1:${peer.port}`, { ca: peer.ca, servername: peer.servername });
      session.on("connect", () => reject(new Error("it was accepted")));
      session.on("error", resolve);
    });
    expect(String(failure)).toMatch(/protocol/i);
    const { text } = await dialRaw(peer, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 5000);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("33: headers that do not come end the connection", async () => {
    expect(defaultLimits.headersTimeoutMs).toBe(32_000);
    const hasty = await startServer(credentials, { limits: { headersTimeoutMs: 500 } });
    const { tookMs } = await dialRaw(hasty.peer, "GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ", 5000);
    expect(tookMs).toBeGreaterThan(400);
    await hasty.server.close();
  });

  test("34: however many tokens come, the cache stays within its bound", async () => {
    let asked = 0;
    const many = await startServer(credentials, {
      limits: { reviews: 1000 },
      reviewToken: async (token) => {
        asked++;
        return { kind: "Authenticated", identity: identityOf(token, []) };
      },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: many.peer.ca, servername: "localhost" });
    const ask = (token: string) =>
      new Promise<number>((resolve, reject) => {
        const { host, port } = many.peer;
        const sent = request({ host, port, agent, path: metricPath, headers: { authorization: `Bearer ${token}` } });
        sent.on("error", reject);
        sent.on("response", (response) => response.resume().on("end", () => resolve(response.statusCode!)));
        sent.end();
      });
    for (let batch = 0; batch < 100; batch++) {
      const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(`token-${batch}-${i}`)));
      expect(new Set(codes)).toEqual(new Set([403]));
    }
    expect(asked).toBe(10_000);
    expect(many.server.cached.tokens).toBeLessThanOrEqual(1000);
    expect(many.server.cached.access).toBeLessThanOrEqual(1000);
    agent.destroy();
    await many.server.close();
  });
});
