import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KubeError } from "../../../src/kube/client/kube-error.ts";
import { explainStart } from "../../../src/serve/cluster-server.ts";

const root = join(import.meta.dirname, "../../..");
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "forescale-serve-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function forescale(...args: string[]): Promise<{ code: number; stderr: string }> {
  const env = { ...process.env, KUBECONFIG: "", HOME: dir, KUBERNETES_SERVICE_HOST: "" };
  return new Promise((resolve) =>
    execFile(process.execPath, [join(root, "src/main.ts"), "serve", ...args], { env }, (error, _stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stderr }),
    ),
  );
}

describe("forescale serve says in one sentence", () => {
  test.each([
    [["--port", "http"], 2, /--port http is not a whole number/],
    [["--port", "70000"], 2, /--port 70000 is not a whole number from 0 to 65535/],
    [["--log-level", "loud"], 2, /--log-level loud is none/],
    [
      ["--sidecar-pull-policy", "Sometimes"],
      2,
      /--sidecar-pull-policy Sometimes is none; give Always, IfNotPresent or Never/,
    ],
    [["--sidecar-server", "gateway"], 2, /--sidecar-server gateway is not HOST:PORT/],
    [["--prot", "1"], 2, /--prot.*forescale serve --help/],
    [["now"], 2, /"now" is not expected/],
    [[], 1, /no cluster is configured.*--kubeconfig/],
    [["--kubeconfig", "/none"], 1, /cannot read the kubeconfig \/none/],
  ])("what is wrong with %j", async (args, code, message) => {
    const ended = await forescale(...args);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.code).toBe(code);
  });

  test("that the API server does not answer", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const file = join(dir, "kubeconfig");
    const config = {
      clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}` } }],
      users: [{ name: "u", user: { token: "secret-token" } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    };
    writeFileSync(file, JSON.stringify(config));
    const { code, stderr } = await forescale("--kubeconfig", file);
    expect(stderr).toMatch(/127\.0\.0\.1:\d+ did not answer \(ECONNREFUSED\)/);
    expect(stderr).not.toContain("secret-token");
    expect(code).toBe(1);
  });

  test.each(["NotFound", "Forbidden"] as const)("that the manifests are to be applied first: %s", (code) => {
    const error = new KubeError(code, "create secrets forescale-system/forescale-server-tls: refused");
    expect(explainStart(error, { port: 6443 })).toMatch(
      /^create secrets .*: refused; .*`kubectl apply --server-side -k manifests`$/,
    );
  });

  test.each([
    ["EADDRINUSE", /::1:6443 is taken; choose another port with --port/],
    ["EACCES", /may not listen on ::1:6443/],
    ["EADDRNOTAVAIL", /::1 is no address of this machine/],
  ])("that the system said %s", (code, message) => {
    expect(explainStart(Object.assign(new Error(code), { code }), { host: "::1", port: 6443 })).toMatch(message);
  });
});

test("certs/make.ts writes an authority, a server and a client that fit, keys for their owner only", async () => {
  const source = readFileSync(join(root, "certs/make.ts"), "utf8").replaceAll("../src", `${root}/src`);
  const copy = join(dir, "make.ts");
  writeFileSync(copy, source);
  writeFileSync(join(dir, "package.json"), '{"type":"module"}');
  await new Promise<void>((resolve, reject) =>
    execFile(process.execPath, [copy, "--user", "jane", "example.test"], (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  const { X509Certificate } = await import("node:crypto");
  const [ca, server, client] = ["ca", "server", "client"].map(
    (name) => new X509Certificate(readFileSync(join(dir, `${name}.crt`))),
  );
  expect(server.verify(ca.publicKey) && client.verify(ca.publicKey)).toBe(true);
  expect(server.checkHost("example.test")).toBe("example.test");
  expect(client.toLegacyObject().subject).toMatchObject({ CN: "jane", O: "system:masters" });
  for (const name of ["ca", "server", "client"]) expect(statSync(join(dir, `${name}.key`)).mode & 0o777).toBe(0o600);
});
