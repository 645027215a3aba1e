import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConnection } from "../../../../src/kube/client/kubeconfig.ts";
import { FakeClock } from "../fake-clock.ts";

let folder: string;
let clock: FakeClock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "forescale-kubeconfig-"));
  clock = new FakeClock();
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const base64 = (text: string) => Buffer.from(text).toString("base64");

function config(
  more: { cluster?: object; user?: object; context?: object; current?: string | null; name?: string } = {},
) {
  const name = more.name ?? "main";
  return {
    apiVersion: "v1",
    kind: "Config",
    ...(more.current !== null && { "current-context": more.current ?? name }),
    contexts: [{ name, context: { cluster: name, user: name, ...more.context } }],
    clusters: [{ name, cluster: { server: `https://${name}.example:6443/`, ...more.cluster } }],
    users: [{ name, user: more.user ?? { token: "t0ken" } }],
  };
}

async function write(name: string, content: unknown): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

async function load(content: unknown, more: { context?: string } = {}) {
  const kubeconfig = await write("config", content);
  return loadConnection({ kubeconfig, env: {}, clock, ...more });
}

describe("which file", () => {
  test("the one that is named, before $KUBECONFIG", async () => {
    const kubeconfig = await write("named", config({ name: "named" }));
    const KUBECONFIG = await write("env", config({ name: "env" }));
    expect((await loadConnection({ kubeconfig, env: { KUBECONFIG }, clock })).server.host).toBe("named.example:6443");
    expect((await loadConnection({ env: { KUBECONFIG }, clock })).server.host).toBe("env.example:6443");
  });

  test("several in $KUBECONFIG are taken together, the first one winning", async () => {
    const first = await write("first", { ...config({ name: "first" }), users: [] });
    const second = await write("second", { users: config({ name: "first", user: { token: "second" } }).users });
    const connection = await loadConnection({ env: { KUBECONFIG: `${first}:${second}` }, clock });
    expect(connection.server.host).toBe("first.example:6443");
    expect((await connection.credentials.read()).headers).toEqual({ authorization: "Bearer second" });
  });

  test("a relative path is resolved where the user stands", async () => {
    await write("named", config());
    expect((await loadConnection({ kubeconfig: "named", cwd: folder, env: {}, clock })).server.host).toBe(
      "main.example:6443",
    );
  });

  test("~/.kube/config where nothing is named, after a pod's service account", async () => {
    await mkdir(join(folder, ".kube"));
    await write(".kube/config", config({ name: "home" }));
    await write("token", "pod-token\n");
    await write("ca.crt", "CA");
    await write("namespace", "forescale-system\n");
    expect((await loadConnection({ env: { HOME: folder }, clock })).server.host).toBe("home.example:6443");
    const env = { HOME: folder, KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    const pod = await loadConnection({ env, clock, serviceAccountFolder: folder });
    expect(pod.server.href).toBe("https://[fd00::1]/");
    expect(pod.namespace).toBe("forescale-system");
    expect(await pod.credentials.read()).toMatchObject({ headers: { authorization: "Bearer pod-token" }, ca: "CA" });
  });

  test("none at all: says so and names the flag", async () => {
    await expect(loadConnection({ env: { HOME: folder }, clock })).rejects.toThrow(
      /no cluster is configured.*--kubeconfig/,
    );
  });
});

describe("what it says", () => {
  test("data in place and files beside it, with paths relative to the kubeconfig", async () => {
    await write("ca.pem", "CA in a file");
    const connection = await load(
      config({
        cluster: { "certificate-authority": "ca.pem", "tls-server-name": "other.example" },
        user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY"), as: "alice" },
        context: { namespace: "shop" },
      }),
    );
    expect(connection.namespace).toBe("shop");
    expect(await connection.credentials.read()).toEqual({
      headers: { "impersonate-user": "alice" },
      ca: "CA in a file",
      cert: "CERT",
      key: "KEY",
      servername: "other.example",
      insecureSkipVerify: false,
    });
  });

  test("a user and a password become basic authentication", async () => {
    const { credentials } = await load(config({ user: { username: "u", password: "p" } }));
    expect((await credentials.read()).headers).toEqual({ authorization: `Basic ${base64("u:p")}` });
  });

  test("another context than the current one", async () => {
    const two = config({ name: "two" });
    const both = config();
    const merged = {
      ...both,
      contexts: [...both.contexts, ...two.contexts],
      clusters: [...both.clusters, ...two.clusters],
      users: [...both.users, ...two.users],
    };
    expect((await load(merged, { context: "two" })).server.host).toBe("two.example:6443");
  });

  test("an exec plugin is run, by @kubernetes/client-node, and its token is used", async () => {
    const script = await write(
      "plugin",
      '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}\'\n',
    );
    await chmod(script, 0o700);
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: script };
    const { credentials } = await load(config({ user: { exec } }));
    expect((await credentials.read()).headers).toMatchObject({ authorization: "Bearer from-plugin" });
  });

  test("an exec plugin that fails is a sentence with the remedy", async () => {
    const { credentials } = await load(config({ user: { exec: { command: "/nonexistent/plugin" } } }));
    await expect(credentials.read()).rejects.toThrow(
      /user "main" could not get credentials; run the same context with kubectl/,
    );
  });
});

test("what an exec plugin prints is quoted by no error, not by its cause either", async () => {
  const script = await write("plugin", "#!/bin/sh\necho s3cr3t\n");
  await chmod(script, 0o700);
  const { credentials } = await load(config({ user: { exec: { command: script } } }));
  const error = await credentials.read().catch((error) => error);
  expect(error.code).toBe("Configuration");
  expect(`${error.message} ${error.cause}`).not.toContain("s3cr3t");
});

describe("a token in a file", () => {
  test("is read again after a minute", async () => {
    await write("token", "first");
    const { credentials } = await load(config({ user: { tokenFile: "token" } }));
    await write("token", "second");
    const bearer = async () => (await credentials.read()).headers.authorization;
    await clock.advance(59_000);
    expect(await bearer()).toBe("Bearer first");
    await clock.advance(1_000);
    expect(await bearer()).toBe("Bearer second");
  });

  test("is read again at once when the server refused it", async () => {
    await write("token", "first");
    const { credentials } = await load(config({ user: { tokenFile: "token" } }));
    await write("token", "second");
    credentials.distrust();
    expect((await credentials.read()).headers.authorization).toBe("Bearer second");
  });

  test("that is away for a moment is still known", async () => {
    const file = await write("token", "first");
    const { credentials } = await load(config({ user: { tokenFile: "token" } }));
    await rm(file);
    await clock.advance(60_000);
    expect((await credentials.read()).headers.authorization).toBe("Bearer first");
  });
});

describe("a faulty kubeconfig is one sentence that names the file and never a secret", () => {
  test.each([
    { name: "not YAML", content: "users: [{token: s3cr3t", says: "is not YAML" },
    { name: "a list", content: "- a", says: "is not a kubeconfig" },
    { name: "no current context", content: config({ current: null }), says: "has no current-context; set one with" },
    { name: "an unknown context", content: config({ current: "other" }), says: 'has no context "other"' },
    { name: "an unknown cluster", content: config({ context: { cluster: "x" } }), says: 'has no cluster "x"' },
    { name: "an unknown user", content: config({ context: { user: "x" } }), says: 'has no user "x"' },
    {
      name: "no server",
      content: config({ cluster: { server: "" } }),
      says: 'names no usable server for cluster "main"',
    },
    {
      name: "a server of another scheme",
      content: config({ cluster: { server: "ftp://x" } }),
      says: "names no usable server",
    },
    {
      name: "a token over plain HTTP",
      content: config({ cluster: { server: "http://far.example" }, user: { token: "s3cr3t" } }),
      says: "would send a secret to far.example over plain HTTP; use an https server",
    },
  ])("$name", async ({ content, says }) => {
    const error = await load(content).catch((error) => error);
    expect(error).toMatchObject({ name: "KubeError", code: "Configuration" });
    expect(error.message).toContain(join(folder, "config"));
    expect(error.message).toContain(says);
    expect(error.message).not.toContain("s3cr3t");
  });

  test("a certificate file that is missing is named", async () => {
    const missing = config({ user: { "client-certificate": "gone.pem" } });
    await expect(load(missing)).rejects.toThrow(`cannot read ${join(folder, "gone.pem")} (ENOENT)`);
  });

  test("a kubeconfig that is missing is named", async () => {
    await expect(loadConnection({ kubeconfig: "/nonexistent/config", env: {}, clock })).rejects.toThrow(
      "cannot read the kubeconfig /nonexistent/config (ENOENT); check the path",
    );
  });
});
