import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { type Clock, systemClock } from "../loop/clock.ts";
import { type CredentialSource, FileCredentials, type Material, pluginCredentials } from "./credentials.ts";
import { KubeError } from "./kube-error.ts";

/** Which API server, as whom. */
export interface Connection {
  /** Without a slash at the end of its path. */
  readonly server: URL;
  /** The namespace that this context or pod stands in; "default" where none is named. */
  readonly namespace: string;
  readonly credentials: CredentialSource;
}

export interface ConnectionOptions {
  /** A kubeconfig file; where absent $KUBECONFIG, then the pod's service account, then ~/.kube/config. */
  readonly kubeconfig?: string;
  /** The kubeconfig's context to use instead of its current one. */
  readonly context?: string;
  /** Environment to read KUBECONFIG, HOME and KUBERNETES_SERVICE_* from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths are resolved against it. */
  readonly cwd?: string;
  readonly clock?: Clock;
  /** Where the kubelet mounts the service account; other than the default only in tests. */
  readonly serviceAccountFolder?: string;
}

const mountedServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Finds the cluster and the credentials, as kubectl does.
 *
 * @throws KubeError `Configuration` that names the file and what it lacks
 */
export async function loadConnection(options: ConnectionOptions): Promise<Connection> {
  const { env, cwd = "." } = options;
  const named = options.kubeconfig ? [options.kubeconfig] : (env.KUBECONFIG ?? "").split(delimiter).filter(Boolean);
  if (named.length > 0)
    return fromFiles(
      named.map((file) => resolve(cwd, file)),
      options,
    );
  if (env.KUBERNETES_SERVICE_HOST && env.KUBERNETES_SERVICE_PORT) return inCluster(options);
  const home = join(env.HOME ?? homedir(), ".kube", "config");
  try {
    return await fromFiles([home], options);
  } catch (error) {
    if (((error as KubeError).cause as NodeJS.ErrnoException)?.code !== "ENOENT") throw error;
    throw new KubeError(
      "Configuration",
      `no cluster is configured: there is no ${home}, $KUBECONFIG is not set and this is not a pod; name a file with --kubeconfig`,
    );
  }
}

async function inCluster({ env, clock = systemClock, serviceAccountFolder }: ConnectionOptions): Promise<Connection> {
  const folder = serviceAccountFolder ?? mountedServiceAccount;
  const host = env.KUBERNETES_SERVICE_HOST ?? "";
  const credentials = new FileCredentials({
    clock,
    ca: { file: join(folder, "ca.crt") },
    token: { file: join(folder, "token") },
  });
  await credentials.read(); // A pod without a mounted token should say so at its start.
  const namespace = await readFile(join(folder, "namespace"), "utf8").then(
    (text) => text.trim(),
    () => "default",
  );
  return {
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT}`),
    namespace,
    credentials,
  };
}

interface Named<T> {
  readonly name: string;
  readonly value: T;
  readonly file: string;
}
type Fields = Readonly<Record<string, unknown>>;

async function fromFiles(files: readonly string[], options: ConnectionOptions): Promise<Connection> {
  const { clock = systemClock } = options;
  const documents = await Promise.all(files.map(readDocument));
  const all = (list: string, field: string) => documents.flatMap((each) => entries(each, list, field));
  const currentName = options.context ?? documents.map((each) => each.body["current-context"]).find(Boolean);
  if (typeof currentName !== "string")
    throw faulty(
      files[0],
      "has no current-context; set one with `kubectl config use-context` or name one with --context",
    );
  const find = (list: string, field: string, name: unknown): Named<Fields> => {
    const found = all(list, field).find((each) => each.name === name);
    if (!found) throw faulty(files[0], `has no ${field} "${name}"`);
    return found;
  };
  const context = find("contexts", "context", currentName);
  const cluster = find("clusters", "cluster", context.value.cluster);
  const user = context.value.user ? find("users", "user", context.value.user) : { name: "", value: {}, file: files[0] };

  const server = serverOf(cluster);
  const namespace = typeof context.value.namespace === "string" ? context.value.namespace : "default";
  const plugin = user.value.exec ?? user.value["auth-provider"] ?? cluster.value["proxy-url"];
  if (plugin) {
    const document = JSON.stringify({
      "current-context": currentName,
      contexts: [{ name: context.name, context: context.value }],
      clusters: [{ name: cluster.name, cluster: withAbsolutePaths(cluster) }],
      users: [{ name: user.name, user: withAbsolutePaths(user) }],
    });
    return { server, namespace, credentials: await pluginCredentials(document) };
  }

  const secret = user.value;
  const token = material(user, "tokenFile", undefined) ?? inPlace(secret.token);
  const basic = secret.username
    ? `Basic ${Buffer.from(`${secret.username}:${secret.password ?? ""}`).toString("base64")}`
    : undefined;
  const sendsSecret = token !== undefined || basic !== undefined;
  const loopback = /^(localhost|127\..*|\[::1\])$/.test(server.hostname);
  if (server.protocol === "http:" && sendsSecret && !loopback)
    throw faulty(cluster.file, `would send a secret to ${server.host} over plain HTTP; use an https server`);
  const credentials = new FileCredentials({
    clock,
    ca: material(cluster, "certificate-authority", "certificate-authority-data"),
    cert: material(user, "client-certificate", "client-certificate-data"),
    key: material(user, "client-key", "client-key-data"),
    token,
    headers: {
      ...(basic !== undefined && { authorization: basic }),
      ...(typeof secret.as === "string" && { "impersonate-user": secret.as }),
    },
    servername: cluster.value["tls-server-name"] as string | undefined,
    insecureSkipVerify: cluster.value["insecure-skip-tls-verify"] === true,
  });
  await credentials.read();
  return { server, namespace, credentials };
}

interface Document {
  readonly file: string;
  readonly body: Fields;
}

async function readDocument(file: string): Promise<Document> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new KubeError(
      "Configuration",
      `cannot read the kubeconfig ${file} (${(cause as NodeJS.ErrnoException).code}); check the path`,
      { object: file, cause },
    );
  }
  let body: unknown;
  try {
    const { parse } = await import("yaml"); // 10 MiB that a pod, with its service account, does not need
    body = parse(text);
  } catch {
    // The parser's message quotes the line, which may be the one with the token.
    throw faulty(file, "is not YAML");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw faulty(file, "is not a kubeconfig");
  return { file, body: body as Fields };
}

function entries({ file, body }: Document, list: string, field: string): Named<Fields>[] {
  const items = body[list];
  if (!Array.isArray(items)) return [];
  return items
    .filter((item) => typeof item?.name === "string")
    .map((item) => ({ name: item.name as string, value: (item[field] ?? {}) as Fields, file }));
}

function serverOf(cluster: Named<Fields>): URL {
  const text = cluster.value.server;
  if (typeof text !== "string" || !URL.canParse(text) || !/^https?:/.test(text))
    throw faulty(cluster.file, `names no usable server for cluster "${cluster.name}"`);
  const url = new URL(text);
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

const fileFields = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];

function withAbsolutePaths({ value, file }: Named<Fields>): Fields {
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      fileFields.includes(name) && typeof each === "string" ? absolute(file, each) : each,
    ]),
  );
}

function material(entry: Named<Fields>, fileField: string, dataField: string | undefined): Material | undefined {
  const data = dataField && entry.value[dataField];
  if (typeof data === "string" && data !== "") return { value: Buffer.from(data, "base64").toString("utf8") };
  const path = entry.value[fileField];
  return typeof path === "string" && path !== "" ? { file: absolute(entry.file, path) } : undefined;
}

function inPlace(value: unknown): Material | undefined {
  return typeof value === "string" && value !== "" ? { value } : undefined;
}

function absolute(kubeconfig: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(kubeconfig), path);
}

function faulty(file: string, what: string): KubeError {
  return new KubeError("Configuration", `the kubeconfig ${file} ${what}`, { object: file });
}
