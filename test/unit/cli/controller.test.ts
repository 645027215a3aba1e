import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const main = join(import.meta.dirname, "../../../src/main.ts");
let dir: string;
let server: Server;
let asked: number;
let status: number;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "forescale-controller-"));
  server = createServer((_, response) => {
    asked++;
    response.writeHead(status, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const config = {
    clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` } }],
    users: [{ name: "u", user: { token: "secret-token" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(join(dir, "kubeconfig"), JSON.stringify(config));
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

function controller(...args: string[]): Promise<{ code: number; lines: string[] }> {
  [asked, status] = [0, 401];
  const all = [main, "controller", "--kubeconfig", join(dir, "kubeconfig"), "--metrics-port", "0", ...args];
  return new Promise((resolve) =>
    execFile(process.execPath, all, { timeout: 20_000 }, (error, _stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), lines: stderr.trim().split("\n") }),
    ),
  );
}

test.each([
  { name: "a folder that is not there", history: () => "/no/such/folder/h.db", says: /there is no folder \/no\/such/ },
  { name: "a folder in place of a file", history: () => dir, says: /that is a folder; name a file in it/ },
])("a history that cannot be is refused before the API server is asked anything: $name", async ({ history, says }) => {
  const { code, lines } = await controller("--history", history());
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(says);
  expect([code, asked]).toEqual([2, 0]);
});

test("credentials that are refused end it at once, with one sentence and no secret", async () => {
  const { code, lines } = await controller("--history", join(dir, "h.db"));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/check that the token or client certificate is valid for this cluster/);
  expect(lines[0]).not.toContain("secret-token");
  expect(code).toBe(1);
  expect(asked).toBeLessThan(4);
});
