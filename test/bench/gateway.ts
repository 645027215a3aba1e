import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { lineOf } from "../../src/pods/message-lines.ts";
import { streamPath, streamProtocol } from "../../src/pods/sidecar-protocol.ts";
import { MemorySnapshot } from "../../src/serve/metrics-api/snapshot.ts";
import { createServer } from "../../src/serve/server.ts";
import { createGateway } from "../../src/serve/sidecar-gateway/gateway.ts";
import { authenticationOf, makeCredentials } from "../unit/serve/serve-world.ts";

const streams = 5000;
const atOnce = 50;
/** As in manifests/server.yaml. */
const allocator = { MALLOC_MMAP_THRESHOLD_: "32768" };

/** Memory of a server that holds many sidecars, and how soon a wish reaches them. */
export default {
  name: `gateway: ${streams} sidecars on one server, each by TLS, token reviews answered at once`,
  async run(): Promise<void> {
    const server = fork(fileURLToPath(import.meta.url), ["serve"], {
      execArgv: [],
      env: { ...process.env, ...allocator },
    });
    try {
      const [{ port, ca }] = (await once(server, "message")) as [{ port: number; ca: string }];
      const idle = residentMiB(server.pid!);
      let heard = 0;
      let lastHeardMs = 0;
      const startedMs = performance.now();
      for (let from = 0; from < streams; from += atOnce) {
        await Promise.all(
          Array.from({ length: Math.min(atOnce, streams - from) }, (_, i) =>
            openOne(port, ca, `pod-${from + i}`, () => {
              heard++;
              lastHeardMs = Date.now();
            }),
          ),
        );
        if (process.stderr.isTTY) process.stderr.write(`\r${from + atOnce} of ${streams} connected`);
      }
      const openSeconds = (performance.now() - startedMs) / 1000;
      if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
      await sleep(3000);
      const held = residentMiB(server.pid!);
      const tell = async (from: number, count: number) => {
        heard = 0;
        const sentMs = Date.now();
        server.send({ from, count });
        while (heard < count) await sleep(1);
        return lastHeardMs - sentMs;
      };
      const one: number[] = [];
      for (let i = 0; i < 50; i++) one.push(await tell(i, 1));
      one.sort((a, b) => a - b);
      const all = await tell(100, streams - 100);
      console.table({
        "server's resident memory, no stream (MiB)": idle,
        [`with ${streams} streams (MiB, at most 300)`]: held,
        "KiB a stream": Math.round(((held - idle) * 1024) / streams),
        "connecting all, both sides on this machine (s)": Number(openSeconds.toFixed(1)),
        "a wish to one sidecar, median and worst of 50 (ms)": `${one[25]} / ${one[49]}`,
        [`a wish to ${streams - 100} sidecars, the last (ms)`]: all,
      });
    } finally {
      server.kill();
    }
  },
};

function residentMiB(pid: number): number {
  const [, kiB] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kiB) / 1024);
}

/** A sidecar's side, as bare as can be: this process holds as many. Resolves at the first wish. */
function openOne(port: number, ca: string, token: string, onWish: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost", maxVersion: "TLSv1.2" }, () =>
      socket.write(
        `GET ${streamPath} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${streamProtocol}\r\nAuthorization: Bearer ${token}\r\n\r\n${lineOf({ type: "report", state: "Online" })}`,
      ),
    );
    let isOpen = false;
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      if (chunk.length === 1) socket.write("\n");
      if (!chunk.includes('"want"')) return;
      if (isOpen) onWish();
      isOpen = true;
      resolve();
    });
  });
}

/** The server's process. */
async function serve(): Promise<void> {
  const credentials = await makeCredentials();
  const config = authenticationOf(credentials);
  const frozen = new Set<string>();
  const gateway = createGateway({
    reviewToken: async (name) => ({ namespace: "default", name, uid: name, expiresMs: Number.MAX_SAFE_INTEGER }),
    desiredStateOf: ({ name }) => ({ type: "want", state: frozen.has(name) ? "Standby" : "Online" }),
    onReport: () => {},
    authorities: () => credentials.servingCa.certificate,
  });
  const server = createServer({
    certificate: credentials.serving,
    snapshot: new MemorySnapshot({
      wallMs: Date.now,
      monotonicMs: () => performance.now(),
      setTimer: () => ({ cancel: () => {} }),
    }),
    authentication: () => config,
    reviewAccess: async () => ({ isAllowed: false }),
    gateway,
  });
  const { port } = await server.listen(0, "127.0.0.1");
  process.on("message", ({ from, count }: { from: number; count: number }) => {
    for (let i = from; i < from + count; i++) {
      frozen.add(`pod-${i}`);
      gateway.refresh("default", `pod-${i}`);
    }
  });
  process.send!({ port, ca: credentials.servingCa.certificate });
}

if (process.argv[2] === "serve" && process.send) await serve();
