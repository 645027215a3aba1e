import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KubeError } from "../../../../src/kube/client/kube-error.ts";
import { acquireLeadership, type Leadership } from "../../../../src/kube/loop/leader-election.ts";
import { CountingClient } from "../counting-client.ts";
import { FakeApiServer, type Stored } from "../fake-api-server.ts";
import { eventually, FakeClock } from "../fake-clock.ts";

const path = "/apis/coordination.k8s.io/v1/namespaces/forescale-system/leases/controller";
interface LeaseSpec {
  holderIdentity: string;
  leaseTransitions: number;
  leaseDurationSeconds: number;
  renewTime: string;
}

let server: FakeApiServer;
let clients: CountingClient[];
/** How long a call may take before it is taken for one that hangs. */
let hangMs: number;
const stop = () => new AbortController().signal;

beforeEach(async () => {
  clients = [];
  hangMs = 2_000;
  server = await new FakeApiServer().start();
});
afterEach(async () => server.kill());

const spec = () => (server.objects.get(path) as Stored & { spec: LeaseSpec }).spec;

/** A process with a clock of its own. */
function candidate(identity: string, clock = new FakeClock()) {
  const client = new CountingClient(server.connection(), { clock, qps: 1, burst: 1 });
  clients.push(client);
  const lost: KubeError[] = [];
  const acquire = (signal = stop()) =>
    acquireLeadership(
      { client, lease: { namespace: "forescale-system", name: "controller" }, identity, clock, random: () => 0 },
      signal,
      (error) => lost.push(error),
    );
  return { clock, acquire, lost };
}

/** Moves clocks together, with time for requests in between. */
async function advance(ms: number, ...clocks: FakeClock[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    for (const clock of clocks) await clock.advance(Math.min(500, ms - passed));
    for (const client of clients) await client.idle(hangMs);
  }
}

async function settled(promise: Promise<Leadership>): Promise<Leadership | undefined> {
  return Promise.race([promise, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 20))]);
}

test("the first candidate makes the Lease, with times that the API accepts", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  expect(spec()).toMatchObject({ holderIdentity: "one", leaseDurationSeconds: 15, leaseTransitions: 0 });
  expect(spec().renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(leadership.check()).toBe(0);
});

test("a leader that renews keeps the Lease, however long the others wait", async () => {
  const one = candidate("one");
  const two = candidate("two");
  const leadership = await one.acquire();
  const waiting = two.acquire();
  await advance(120_000, one.clock, two.clock);
  expect(leadership.isValid).toBe(true);
  expect(await settled(waiting)).toBeUndefined();
  expect(spec()).toMatchObject({ holderIdentity: "one", leaseTransitions: 0 });
});

test("a leader that dies is followed within 20 s, with a higher term", async () => {
  const one = candidate("one");
  const two = candidate("two");
  await one.acquire();
  const waiting = two.acquire();
  await advance(1_000, two.clock);
  await advance(19_000, two.clock); // the clock of one stands still: it is dead
  const leadership = await settled(waiting);
  expect(leadership?.term).toBe(1);
  expect(spec().holderIdentity).toBe("two");
});

test("the peer's clock is not believed: a renewTime hours away changes nothing", async () => {
  const one = candidate("one");
  one.clock.epochMs += 5 * 3_600_000;
  const two = candidate("two");
  two.clock.epochMs -= 5 * 3_600_000;
  await one.acquire();
  const waiting = two.acquire();
  await advance(14_000, one.clock, two.clock);
  expect(await settled(waiting)).toBeUndefined();
  expect(spec().holderIdentity).toBe("one");
});

test("a leader stopped for 20 s knows that it is none at its first breath, before any timer, and hears of the loss", async () => {
  const one = candidate("one");
  const two = candidate("two");
  const leadership = await one.acquire();
  const waiting = two.acquire();
  await advance(20_000, two.clock);
  expect((await settled(waiting))?.term).toBe(1);
  one.clock.jump(20_000);
  expect(leadership.isValid).toBe(false);
  expect(() => leadership.check()).toThrow(/not held any more/);
  await one.clock.advance(0);
  await eventually(() => one.lost.length === 1);
  expect(one.lost[0]).toMatchObject({ code: "NotLeader" });
  expect(leadership.ended.aborted).toBe(true);
  expect(spec().holderIdentity).toBe("two");
});

test("a leader that may not renew any more is lost, and its last words name the cause", async () => {
  const one = candidate("one");
  await one.acquire();
  server.intercept = ({ method }, response) => {
    if (method !== "PUT") return false;
    const body = { kind: "Status", code: 403, reason: "Forbidden", message: 'user "jane" cannot update leases' };
    response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify(body));
    return true;
  };
  await advance(11_000, one.clock);
  expect(one.lost).toHaveLength(1);
  expect(one.lost[0].message).toMatch(
    /not renewed within 10 s, at last because of this: .*"jane" cannot update leases/,
  );
});

test("a leader cut off from the API server is lost after 10 s, five before anyone can follow", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  await server.kill();
  await advance(9_500, one.clock);
  expect(leadership.isValid).toBe(true);
  await advance(600, one.clock);
  expect(leadership.isValid).toBe(false);
  expect(one.lost).toHaveLength(1);
  await server.start();
  const known = server.seen.length;
  await advance(10_000, one.clock);
  expect(server.seen).toHaveLength(known); // it asks for nothing any more
});

test("a renewal counts from when it was sent, however late the answer comes", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  server.intercept = ({ method }) => {
    if (method === "PUT") one.clock.jump(4_000); // the answer takes 4 s
    return false;
  };
  await advance(2_000, one.clock);
  expect(server.requests("PUT")).toHaveLength(1);
  one.clock.jump(5_900);
  expect(leadership.isValid).toBe(true);
  one.clock.jump(200);
  expect(leadership.isValid).toBe(false);
});

test("one dead connection does not cost the Lease", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  server.blackhole();
  hangMs = 10;
  await advance(20_000, one.clock);
  expect(leadership.isValid).toBe(true);
  expect(one.lost).toEqual([]);
});

test("a short outage is survived", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  await server.kill();
  await advance(6_000, one.clock);
  await server.start();
  await advance(8_000, one.clock);
  expect(leadership.isValid).toBe(true);
  expect(one.lost).toEqual([]);
});

test("an API server that accepts and never answers does not keep a leader in office", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  server.intercept = () => true;
  hangMs = 10;
  await advance(10_500, one.clock);
  expect(leadership.isValid).toBe(false);
  expect(one.lost).toHaveLength(1);
});

test("a Lease that another took by hand is lost at the next renewals", async () => {
  const one = candidate("one");
  const leadership = await one.acquire();
  const held = server.objects.get(path)!;
  const taken = { ...(held.spec as LeaseSpec), holderIdentity: "intruder", leaseTransitions: 7 };
  server.put(path.slice(0, path.lastIndexOf("/")), { ...held, spec: taken });
  await advance(5_000, one.clock);
  expect(leadership.ended.aborted).toBe(true);
  expect(one.lost[0].message).toContain("another process took it");
});

test("a Lease deleted under its leader is made again with the same term", async () => {
  const one = candidate("one");
  const two = candidate("two");
  await one.acquire();
  const waiting = two.acquire();
  await advance(20_000, two.clock);
  const leadership = (await settled(waiting))!;
  server.remove(path.slice(0, path.lastIndexOf("/")), "controller");
  await advance(6_000, two.clock);
  expect(leadership.isValid).toBe(true);
  expect(spec()).toMatchObject({ holderIdentity: "two", leaseTransitions: 1 });
});

describe("release", () => {
  test("hands the Lease over at once, without telling of a loss", async () => {
    const one = candidate("one");
    const two = candidate("two");
    const leadership = await one.acquire();
    const waiting = two.acquire();
    await advance(4_000, one.clock, two.clock);
    await leadership.release();
    expect(spec().holderIdentity).toBe("");
    expect(() => leadership.check()).toThrow(/not held any more/);
    expect(one.lost).toEqual([]);
    await advance(2_500, two.clock);
    expect((await settled(waiting))?.term).toBe(1);
    expect(one.clock.pending).toBe(0);
  });

  test("after a loss gives back what nobody took", async () => {
    const one = candidate("one");
    const leadership = await one.acquire();
    one.clock.jump(20_000);
    await one.clock.advance(0);
    expect(one.lost).toHaveLength(1);
    await leadership.release();
    expect(spec().holderIdentity).toBe("");
  });

  test("after a loss leaves the follower's Lease alone", async () => {
    const one = candidate("one");
    const two = candidate("two");
    const leadership = await one.acquire();
    const waiting = two.acquire();
    await advance(20_000, two.clock);
    await settled(waiting);
    one.clock.jump(20_000);
    await leadership.release();
    expect(spec().holderIdentity).toBe("two");
  });
});

test("of five candidates that start together exactly one leads", async () => {
  const clock = new FakeClock();
  const all = ["a", "b", "c", "d", "e"].map((identity) => candidate(identity, clock).acquire());
  await advance(5_000, clock);
  const leaders = (await Promise.all(all.map(settled))).filter(Boolean);
  expect(leaders).toHaveLength(1);
});

test("waiting ends with its signal", async () => {
  const one = candidate("one");
  const two = candidate("two");
  await one.acquire();
  const abort = new AbortController();
  const waiting = two.acquire(abort.signal);
  await advance(1_000, two.clock);
  abort.abort(new Error("shutting down"));
  await expect(waiting).rejects.toThrow("shutting down");
});

test("renewals do not wait behind other calls at the rate limit", async () => {
  const one = candidate("one"); // its client lets one call a second pass
  const leadership = await one.acquire();
  await advance(30_000, one.clock);
  expect(leadership.isValid).toBe(true);
  expect(server.requests("PUT").length).toBeGreaterThanOrEqual(12);
  expect(server.requests("GET")).toHaveLength(1); // a renewal is one request
});

test("a retry that is longer than the deadline is the caller's mistake", async () => {
  const one = candidate("one");
  const options = {
    client: new CountingClient(server.connection()),
    lease: { namespace: "a", name: "b" },
    identity: "x",
  };
  await expect(
    acquireLeadership({ ...options, clock: one.clock, renewDeadlineMs: 15_000, leaseMs: 15_000 }, stop()),
  ).rejects.toThrow(RangeError);
});
