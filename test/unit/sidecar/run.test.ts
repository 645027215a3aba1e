import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { buildHelper } from "../../../scripts/native.ts";
import type { DesiredState, SidecarReport } from "../../../src/pods/sidecar-protocol.ts";
import { createGateway, type Gateway } from "../../../src/serve/sidecar-gateway/gateway.ts";
import { parsePodFile } from "../../../src/sidecar/pod-files.ts";
import { runSidecar, type SidecarOptions } from "../../../src/sidecar/run.ts";
import { type Credentials, makeCredentials, type Server, startServer } from "../serve/serve-world.ts";

let credentials: Credentials;
let helper: string;
beforeAll(async () => {
  credentials = await makeCredentials();
  helper = buildHelper();
});

describe("a sidecar beside no application of its pod", () => {
  let folder: string;
  let gateway: Gateway;
  let server: Server;
  let port: number;
  let wish: DesiredState;
  const reports: SidecarReport[] = [];
  const tokens: string[] = [];
  const said: string[] = [];
  const stop = new AbortController();
  let running: Promise<void>;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "forescale-sidecar-"));
    wish = { type: "want", state: "Online" };
    gateway = createGateway({
      reviewToken: async (token) => {
        tokens.push(token);
        return { namespace: "default", name: "web", uid: "1", expiresMs: Number.MAX_SAFE_INTEGER };
      },
      desiredStateOf: () => wish,
      onReport: (_, report) => reports.push(report),
      authorities: () => credentials.servingCa.certificate,
    });
    const started = await startServer(credentials, { gateway });
    server = started.server;
    port = started.peer.port;
    mkdirSync(join(folder, "identity"));
    for (const [name, text] of [
      ["token", "first-token\n"],
      ["labels", 'app="web"\n'],
      ["annotations", ""],
    ])
      writeFileSync(join(folder, "identity", name), text);
    const options: SidecarOptions = {
      server: `127.0.0.1:${port}`,
      serverName: "localhost",
      authorities: credentials.servingCa.certificate,
      probes: "[]",
      probePort: 0,
      files: {
        state: join(folder, "state"),
        key: join(folder, "key"),
        leaving: join(folder, "state", "leaving"),
        token: join(folder, "identity", "token"),
        labels: join(folder, "identity", "labels"),
        annotations: join(folder, "identity", "annotations"),
      },
      helper,
      log: { info: (message) => said.push(message), warn() {} },
    };
    running = runSidecar(options, stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await server.close({ drainMs: 0 });
    rmSync(folder, { recursive: true, force: true });
  });

  /** By a rename, so that no reader meets half a file. */
  function kubeletWrites(name: string, text: string): void {
    const path = join(folder, "identity", name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  test("connects with its token, says where it stands, and refuses what it may not do with a reason", async () => {
    await vi.waitFor(() => expect(reports.at(-1)?.state).toBe("Online"));
    expect(tokens).toEqual(["first-token"]);
    // Only once the pod's labels say so too, and then without another word of the server's.
    wish = { type: "want", state: "Standby", mode: "Image" };
    gateway.refresh("default", "web");
    await vi.waitFor(() => expect(said).toContain("waiting for the pod's labels to say Standby before freezing"));
    expect(reports.at(-1)?.state).toBe("Online");
    kubeletWrites("labels", 'app="web"\nforescale.io/pod-state="Standby"\n');
    // This machine's processes are no pod: none of them may be touched.
    await vi.waitFor(() => expect(reports.at(-1)?.state).toBe("Refused"));
    expect(reports.at(-1)).toMatchObject({ reason: expect.stringMatching(/^(NotShared|NotThePods)$/) });
    // A pod that opted out is not even looked at.
    kubeletWrites("annotations", 'forescale.io/no-standby="true"\n');
    wish = { type: "want", state: "Online" };
    gateway.refresh("default", "web");
    await vi.waitFor(() => expect(reports.at(-1)?.state).toBe("Online"));
    wish = { type: "want", state: "Standby", mode: "Swap" };
    gateway.refresh("default", "web");
    await vi.waitFor(() => expect(reports.at(-1)).toMatchObject({ state: "Refused", reason: "Declined" }));
    // Who looks for the reason comes later than the controller, which wants it Online at once.
    wish = { type: "want", state: "Online" };
    gateway.refresh("default", "web");
    await vi.waitFor(() => expect(reports.at(-1)?.state).toBe("Online"));
    expect(reports.at(-1)?.message).toMatch(
      /runs; it was not frozen .*: Declined: the pod's annotation .* forbids it$/,
    );
  });
});

test("files of the downward API are read as the kubelet writes them", () => {
  const text = 'app="web"\nforescale.io/pod-state="Standby"\nnote="a \\"quoted\\" = sign"\nbroken\n';
  expect([...parsePodFile(text)]).toEqual([
    ["app", "web"],
    ["forescale.io/pod-state", "Standby"],
    ["note", 'a "quoted" = sign'],
  ]);
});
