import { afterEach, beforeEach, expect, test } from "vitest";
import { KubeClient } from "../../../../src/kube/client/client.ts";
import { preflight } from "../../../../src/kube/client/preflight.ts";
import { FakeApiServer } from "../fake-api-server.ts";
import { FakeClock } from "../fake-clock.ts";

let server: FakeApiServer;
let clock: FakeClock;
let warnings: number;

beforeEach(async () => {
  server = await new FakeApiServer().start();
  [clock, warnings] = [new FakeClock(), 0];
});
afterEach(() => server.kill());

/** What the preflight comes to, while the clock is moved on for up to a minute. */
async function outcome(signal = new AbortController().signal): Promise<string> {
  const client = new KubeClient(server.connection());
  const log = { debug() {}, info() {}, warn: () => void warnings++, error() {} };
  let said: string | undefined;
  preflight({ client, lease: { namespace: "forescale-system", name: "leader" }, clock, log }, signal).then(
    () => {
      said = "may go on";
    },
    (error) => {
      said = error.message;
    },
  );
  for (let i = 0; said === undefined && i < 600; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    await clock.advance(100);
  }
  return said ?? "never ended";
}

function answers(status: number, body: unknown): void {
  server.intercept = (_, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    return true;
  };
}

test("whoever may write the Lease may go on, after one request", async () => {
  answers(201, { status: { allowed: true } });
  expect(await outcome()).toBe("may go on");
  expect(server.seen).toHaveLength(1);
  expect(server.seen[0].body).toMatchObject({
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes: { namespace: "forescale-system", name: "leader", verb: "update", resource: "leases" } },
  });
});

test.each([
  { name: "a bad token", status: 401, body: {}, says: "check that the token or client certificate is valid" },
  { name: "HTTP spoken to HTTPS", status: 400, body: {}, says: /begins with http:\/\/, and 127.*may want https/ },
  { name: "no API server", status: 200, body: { hello: "world" }, says: "does not answer as a Kubernetes API server" },
  { name: "another kind of server", status: 404, body: {}, says: "404" },
])("$name ends it at once", async ({ status, body, says }) => {
  answers(status, body);
  const said = await outcome();
  if (typeof says === "string") expect(said).toContain(says);
  else expect(said).toMatch(says);
  expect(clock.nowMs).toBeLessThan(2_000);
  expect(warnings).toBe(0);
});

test("a server that does not answer is asked for half a minute, then named", async () => {
  const client = server.connection();
  await server.kill();
  expect(await outcome()).toContain(`the API server at ${client.server.host} did not answer (ECONNREFUSED)`);
  expect(clock.nowMs).toBeGreaterThan(25_000);
  expect(clock.nowMs).toBeLessThan(35_000);
  await server.start();
});

test("rights that come late are waited for; that they are missing is said with the remedy", async () => {
  answers(201, { status: { allowed: false } });
  expect(await outcome()).toMatch(/may not update the Lease forescale-system\/leader; apply the manifests/);
  let asked = 0;
  server.intercept = (_, response) => {
    const allowed = ++asked > 3;
    response.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify({ status: { allowed } }));
    return true;
  };
  expect(await outcome()).toBe("may go on");
});

test("whoever asks for the end gets it", async () => {
  answers(503, {});
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("SIGTERM")), 20);
  expect(await outcome(stop.signal)).toBe("SIGTERM");
});
