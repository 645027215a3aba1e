import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { DesiredState, ServerMessage, SidecarReport } from "../../../../src/pods/sidecar-protocol.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../../../src/serve/sidecar-gateway/gateway.ts";
import type { PodIdentity } from "../../../../src/serve/sidecar-gateway/pod-tokens.ts";
import { openStream, type ServerStream } from "../../../../src/sidecar/stream.ts";
import type { Peer } from "../dial.ts";
import { dial, dialRaw } from "../dial.ts";
import { type Credentials, makeCredentials, type Server, startServer } from "../serve-world.ts";

const online: DesiredState = { type: "want", state: "Online" };
const standby: DesiredState = { type: "want", state: "Standby", mode: "Image" };

/** A server with a gateway whose tokens are `token-POD` or `token-POD-UID`. */
class World {
  readonly wishes = new Map<string, DesiredState>();
  readonly reports: [string, SidecarReport][] = [];
  readonly streams: ServerStream[] = [];
  authorities = "first authorities";
  expiresMs = Date.now() + 3_600_000;
  gateway!: Gateway;
  server!: Server;
  peer!: Peer;

  async start(options: Partial<GatewayOptions> = {}, port = 0): Promise<this> {
    this.gateway = createGateway({
      reviewToken: async (token) => {
        const [, name, uid = `uid-of-${name}`] = /^token-([a-z]+)(?:-(.+))?$/.exec(token) ?? [];
        if (name === "nobody") throw new Error("the API server is away");
        return name ? { namespace: "default", name, uid, expiresMs: this.expiresMs } : "the token is none";
      },
      desiredStateOf: ({ name, uid }: PodIdentity) => (uid === `uid-of-${name}` ? this.wishes.get(name) : undefined),
      onReport: ({ name }, report) => this.reports.push([name, report]),
      authorities: () => this.authorities,
      ...options,
    });
    ({ server: this.server, peer: this.peer } = await startServer(credentials, { gateway: this.gateway }, port));
    return this;
  }

  /** A sidecar that notes what it hears. */
  sidecar(token: string) {
    const heard: ServerMessage[] = [];
    const troubles: string[] = [];
    const stream = openStream({
      server: new URL(`https://127.0.0.1:${this.peer.port}`),
      serverName: "localhost",
      authorities: () => this.peer.ca,
      token: () => token,
      onMessage: (message) => heard.push(message),
      onOpen: () => stream.send({ type: "report", state: "Online" }),
      onTrouble: (why) => troubles.push(why),
      firstWaitMs: 20,
      longestWaitMs: 50,
    });
    this.streams.push(stream);
    return { stream, heard, troubles, wants: () => heard.filter(({ type }) => type === "want") };
  }

  /** One request to upgrade, by hand. */
  async ask(token: string | undefined, path = "/sidecar/v1/stream", upgrade = "forescale-sidecar"): Promise<string> {
    const lines = [`GET ${path} HTTP/1.1`, "Host: x", "Connection: Upgrade", `Upgrade: ${upgrade}`];
    if (token) lines.push(`Authorization: Bearer ${token}`);
    const { text } = await dialRaw(this.peer, `${lines.join("\r\n")}\r\n\r\n`, 5000);
    return text;
  }

  async stop(): Promise<void> {
    for (const stream of this.streams) stream.close();
    await this.server?.close({ drainMs: 0 });
  }
}

let credentials: Credentials;
beforeAll(async () => {
  credentials = await makeCredentials();
});
let world: World;
afterEach(() => world?.stop());

describe("a sidecar's stream", () => {
  test("hears the authorities and the wish at once, and each change of the wish once", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const { heard, wants } = world.sidecar("token-web");
    await vi.waitFor(() => expect(heard).toEqual([{ type: "authorities", pem: "first authorities" }, online]));
    world.gateway.refresh("default", "web"); // nothing new
    world.wishes.set("web", standby);
    world.gateway.refresh("default", "web");
    world.gateway.refresh("default", "web");
    await vi.waitFor(() => expect(wants()).toEqual([online, standby]));
    expect(world.gateway.streams).toBe(1);
  });

  test("goes to an address as well as to a name: the certificate stands for either", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const heard: ServerMessage[] = [];
    const stream = openStream({
      server: new URL(`https://127.0.0.1:${world.peer.port}`),
      authorities: () => world.peer.ca,
      token: () => "token-web",
      onMessage: (message) => heard.push(message),
      onOpen: () => {},
    });
    world.streams.push(stream);
    await vi.waitFor(() => expect(heard).toHaveLength(2));
  });

  test("tells what the sidecar reports, under the pod of its token", async () => {
    world = await new World().start();
    world.wishes.set("web", standby).set("db", online);
    const web = world.sidecar("token-web");
    world.sidecar("token-db");
    await vi.waitFor(() => expect(world.reports.map(([name]) => name).toSorted()).toEqual(["db", "web"]));
    web.stream.send({ type: "report", state: "Standby", mode: "Image", savedBytes: 5e8 });
    const frozen = { type: "report", state: "Standby", mode: "Image", savedBytes: 5e8 };
    await vi.waitFor(() => expect(world.reports).toContainEqual(["web", frozen]));
  });

  test("is made again when the server goes and comes back, and hears the wish of then", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const { troubles, wants } = world.sidecar("token-web");
    await vi.waitFor(() => expect(wants()).toEqual([online]));
    await world.server.close({ drainMs: 0 });
    await vi.waitFor(() => expect(troubles.length).toBeGreaterThan(0));
    world.wishes.set("web", standby);
    await world.start({}, world.peer.port);
    await vi.waitFor(() => expect(wants()).toEqual([online, standby]));
  });

  test("of a pod that has one already takes its place", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const first = world.sidecar("token-web");
    await vi.waitFor(() => expect(first.stream.isOpen).toBe(true));
    first.stream.close();
    const second = world.sidecar("token-web");
    await vi.waitFor(() => expect(second.wants()).toEqual([online]));
    expect(world.gateway.streams).toBe(1);
  });

  test("hears of new authorities", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const { heard } = world.sidecar("token-web");
    await vi.waitFor(() => expect(heard).toHaveLength(2));
    world.gateway.refreshAuthorities();
    world.authorities = "second authorities";
    world.gateway.refreshAuthorities();
    await vi.waitFor(() => expect(heard.at(-1)).toEqual({ type: "authorities", pem: "second authorities" }));
    expect(heard).toHaveLength(3);
  });

  test("ends when a new token is another pod's, and goes on with one of its own", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const { stream, troubles, wants } = world.sidecar("token-web");
    await vi.waitFor(() => expect(wants()).toHaveLength(1));
    stream.send({ type: "token", token: "token-web" });
    stream.send({ type: "report", state: "Draining" });
    await vi.waitFor(() => expect(world.reports.at(-1)?.[1].state).toBe("Draining"));
    expect(troubles).toEqual([]);
    stream.send({ type: "token", token: "token-db" });
    await vi.waitFor(() => expect(troubles).toHaveLength(1));
  });

  test("ends with its pod", async () => {
    world = await new World().start();
    world.wishes.set("web", online);
    const { stream } = world.sidecar("token-web");
    await vi.waitFor(() => expect(stream.isOpen).toBe(true));
    world.wishes.delete("web");
    world.gateway.refresh("default", "web");
    await vi.waitFor(() => expect(world.gateway.streams).toBe(0));
  });
});

describe("what is refused, and why", () => {
  test.each([
    { name: "no token", token: undefined, says: /^HTTP\/1.1 401 .*a pod-bound token is needed/s },
    { name: "a token of nobody", token: "other", says: /^HTTP\/1.1 401 .*the token is none/s },
    { name: "an API server that is away", token: "token-nobody", says: /^HTTP\/1.1 503 .*did not review the token/s },
    {
      name: "a pod that is not known",
      token: "token-stranger",
      says: /^HTTP\/1.1 503 .*default\/stranger is not known/s,
    },
    { name: "an earlier pod by that name", token: "token-web-before", says: /^HTTP\/1.1 503 .*not known/s },
  ])("$name", async ({ token, says }) => {
    world = await new World().start();
    world.wishes.set("web", online);
    expect(await world.ask(token)).toMatch(says);
  });

  test("another path, another protocol", async () => {
    world = await new World().start();
    expect(await world.ask("token-web", "/sidecar/v2/stream")).toMatch(/^HTTP\/1.1 404 /);
    expect(await world.ask("token-web", "/sidecar/v1/stream", "websocket")).toMatch(/^HTTP\/1.1 426 /);
  });

  test("more streams than one replica holds", async () => {
    world = await new World().start({ mostStreams: 1 });
    world.wishes.set("web", online).set("db", online);
    const { wants } = world.sidecar("token-web");
    await vi.waitFor(() => expect(wants()).toHaveLength(1));
    expect(await world.ask("token-db")).toMatch(/^HTTP\/1.1 503 .*holds as many streams as it may/s);
  });

  test("a plain request is answered as before", async () => {
    world = await new World().start();
    expect((await dial(world.peer, { path: "/livez" })).code).toBe(200);
  });

  test.each([
    { name: "no JSON", bytes: "{]\n" },
    { name: "a line without end", bytes: "x".repeat(70_000) },
  ])("$name ends the stream and harms nobody else", async ({ bytes }) => {
    world = await new World().start();
    world.wishes.set("web", online).set("db", online);
    const other = world.sidecar("token-db");
    await vi.waitFor(() => expect(other.wants()).toHaveLength(1));
    const head =
      "GET /sidecar/v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: forescale-sidecar\r\nAuthorization: Bearer token-web\r\n\r\n";
    const { text } = await dialRaw(world.peer, head + bytes, 5000);
    expect(text).toMatch(/^HTTP\/1.1 101 /);
    expect(world.gateway.streams).toBe(1);
    expect(other.stream.isOpen).toBe(true);
  });
});
