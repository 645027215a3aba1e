import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const program = join(import.meta.dirname, "..", "..", "bin", "forescale.mjs");

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]) {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, [program, "demo", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
  /** Waits for a text on standard output. */
  const said = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(stdout);
        if (found) resolve(found);
      };
      child.stdout.on("data", look);
      child.on("close", () => reject(new Error(`it ended before it said ${pattern}: ${stdout}${stderr}`)));
      look();
    });
  return { child, ended, said };
}

test("eight seconds end by themselves with one line of JSON, and its figures make sense", async () => {
  const { code, stdout } = await start("-o", "json", "--duration", "8s", "--speed", "3600").ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^[^\n]+\n$/);
  const summary = JSON.parse(stdout);
  expect(Object.keys(summary)).toEqual(["trace", "source", "speed", "simulatedHours", "policies"]);
  expect(summary.trace).toBe("us-departures-2001");
  expect(summary.simulatedHours).toBeGreaterThan(0.25);
  // A slow machine replays less, and says so: hours are what the speed gives in eight seconds.
  expect(summary.simulatedHours).toBeLessThan((summary.speed * 9) / 3600 + 0.1);
  const { forescale, hpa, oracle } = summary.policies;
  expect(oracle).toMatchObject({ underProvisionedMinutes: 0, unserved: 0 });
  expect(oracle.podHours).toBeGreaterThan(0);
  for (const policy of [forescale, hpa]) {
    expect(policy.podHours).toBeGreaterThan(oracle.podHours * 0.8);
    expect(policy.podHours).toBeLessThan(oracle.podHours * 3);
    expect(policy.underProvisionedMinutes).toBeLessThan(summary.simulatedHours * 60 * 0.1);
  }
}, 60_000);

describe("while it runs", () => {
  test("its curl line reads the metric over TLS from a private folder, and Ctrl-C ends it within a second or so and leaves nothing", async () => {
    const { child, ended, said } = start("--speed", "600", "--duration", "60s");
    const [line] = await said(/^curl .*$/m);
    const [, ca, cert, key, url] =
      /^curl --cacert (\S+) --cert (\S+) --key (\S+) '(https:[^']+)'$/.exec(line) ?? expect.unreachable(line);
    const folder = dirname(key);
    expect([ca, cert].map((file) => dirname(file))).toEqual([folder, folder]);
    if (process.platform !== "win32") {
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(statSync(key).mode & 0o077).toBe(0);
    }
    await said(/Z {2}needs [\d.]+ pods/);

    const list = JSON.parse(await paste(line, { ca, cert, key, url }));
    expect(list).toMatchObject({ kind: "ExternalMetricValueList", items: [{ metricName: "forescale-replicas" }] });
    expect(Number(list.items[0].value)).toBeGreaterThanOrEqual(1);
    expect(list.items[0].timestamp).toMatch(/^2001-06-11T/);

    const anonymous = await get(url, { ca: readFileSync(ca) });
    expect(anonymous.status).toBe(403);
    const elsewhere = url.replace("/namespaces/demo/", "/namespaces/other/");
    const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
    expect((await get(elsewhere, files)).status).toBe(403);

    const askedMs = performance.now();
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    expect(performance.now() - askedMs).toBeLessThan(3000); // a second, and patience for a busy machine
    expect(stdout).toMatch(/pod-hours +too few pods +load unserved\nForescale .*\nplain HPA .*\noracle /);
    expect(existsSync(folder)).toBe(false);
  }, 60_000);
});

test("a port that is taken is one sentence", async () => {
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
  const { port } = other.address() as { port: number };
  const { code, stdout, stderr } = await start("--port", String(port), "--duration", "5s").ended;
  other.close();
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toBe(
    `forescale: port ${port} of 127.0.0.1 is taken; choose another with --port, or 0 for a free one\n`,
  );
}, 60_000);

test("an unknown flag is one sentence and exit code 2", async () => {
  const { code, stderr } = await start("--sped", "5").ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/^forescale: [^\n]*--sped[^\n]*\n$/);
}, 60_000);

/** Runs the line in a shell as a user would; where there is no curl, asks with the same files. */
async function paste(line: string, { ca, cert, key, url }: Record<"ca" | "cert" | "key" | "url", string>) {
  try {
    return (await promisify(execFile)("sh", ["-c", line])).stdout;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 127) throw error;
    return (await get(url, { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) })).body;
  }
}

function get(url: string, files: { ca: Buffer; cert?: Buffer; key?: Buffer }) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const asked = request(url, { ...files, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    asked.on("error", reject);
    asked.end();
  });
}
