import type { Dial } from "./dial.ts";

/** A certificate and its key, PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** Who may come, and what they ask for: the same table is put to our server and to the upstream library's. */
export interface World {
  /** `…/namespaces/NS/METRIC`, one that exists. */
  readonly metricPath: string;
  /** Query of a selector that selects something; "" where none is needed. */
  readonly query: string;
  readonly frontProxy: Pair;
  readonly frontProxyOtherName: Pair;
  readonly frontProxyExpired: Pair;
  readonly frontProxyServerAuth: Pair;
  /** An ordinary user who may read nothing. */
  readonly tenant: Pair;
  /** A member of `system:masters`. */
  readonly master: Pair;
  readonly badToken: string;
}

export interface Row {
  readonly row: string;
  readonly name: string;
  readonly request: (world: World) => Dial;
  readonly codes: readonly number[];
  /** What the answer must say beside its code. */
  readonly says?: RegExp;
  /** What upstream answers, where ours is meant to differ, and why. */
  readonly upstream?: { readonly codes: readonly (number | "reset")[]; readonly why: string };
}

const forged = ["X-Remote-User", "admin", "X-Remote-Group", "system:masters"];

function asMaster(change: (path: string, query: string) => Partial<Dial>): (world: World) => Dial {
  return (world) => {
    const path = `${world.metricPath}?${world.query}`;
    return { path, certificate: world.master, ...change(world.metricPath, world.query) };
  };
}

const groups = (count: number) => Array.from({ length: count }, (_, i) => ["X-Remote-Group", `group-${i}`]).flat();

/** Numbered as in docs/faults-and-bad-input.md, which is generated from this table. */
export const rows: readonly Row[] = [
  {
    row: "1",
    name: "no certificate is anonymous",
    request: (world) => ({ path: `${world.metricPath}?${world.query}` }),
    codes: [403],
    says: /system:anonymous/,
  },
  {
    row: "2",
    name: "forged headers without a certificate are anonymous",
    request: (world) => ({ path: world.metricPath, headers: forged }),
    codes: [403],
    says: /system:anonymous/,
  },
  {
    row: "3",
    name: "forged headers with a tenant's certificate are the tenant",
    request: (world) => ({ path: world.metricPath, headers: forged, certificate: world.tenant }),
    codes: [403],
    says: /\\"tenant\\"/,
  },
  {
    row: "4",
    name: "a leaf of the front proxy's authority with another name is refused",
    request: (world) => ({ path: world.metricPath, headers: forged, certificate: world.frontProxyOtherName }),
    codes: [401],
  },
  {
    row: "5",
    name: "an expired front-proxy leaf is refused",
    request: (world) => ({ path: world.metricPath, headers: forged, certificate: world.frontProxyExpired }),
    codes: [401],
  },
  {
    row: "6",
    name: "a front-proxy leaf for servers is refused",
    request: (world) => ({ path: world.metricPath, headers: forged, certificate: world.frontProxyServerAuth }),
    codes: [401],
  },
  {
    row: "6a",
    name: "a front proxy that names no user is refused",
    request: (world) => ({ path: world.metricPath, certificate: world.frontProxy }),
    codes: [401],
  },
  {
    row: "7",
    name: "of two user lines the first counts",
    request: (world) => ({
      path: world.metricPath,
      headers: ["X-Remote-User", "nobody", "X-Remote-User", "admin"],
      certificate: world.frontProxy,
    }),
    codes: [403],
    says: /\\"nobody\\"/,
  },
  {
    row: "8",
    name: "a group with a comma is one group",
    request: (world) => ({
      path: world.metricPath,
      headers: ["X-Remote-User", "nobody", "X-Remote-Group", "dev, system:masters"],
      certificate: world.frontProxy,
    }),
    codes: [403],
  },
  {
    row: "8a",
    name: "the front proxy's word counts",
    request: (world) => ({
      path: `${world.metricPath}?${world.query}`,
      headers: ["X-Remote-User", "nobody", "X-Remote-Group", "dev", "X-Remote-Group", "system:masters"],
      certificate: world.frontProxy,
    }),
    codes: [200],
  },
  {
    row: "9",
    name: "400 groups fit",
    request: (world) => ({
      path: `${world.metricPath}?${world.query}`,
      headers: ["X-Remote-User", "nobody", ...groups(400), "X-Remote-Group", "system:masters"],
      certificate: world.frontProxy,
    }),
    codes: [200],
  },
  {
    row: "9a",
    name: "the last of 2,500 groups still counts",
    request: (world) => ({
      path: `${world.metricPath}?${world.query}`,
      headers: ["X-Remote-User", "nobody", ...groups(2500), "X-Remote-Group", "system:masters"],
      certificate: world.frontProxy,
    }),
    codes: [200],
  },
  {
    row: "10",
    name: "300 KiB of headers are too large",
    request: (world) => ({ path: world.metricPath, headers: ["X-Padding", "x".repeat(300 * 1024)] }),
    codes: [431],
    upstream: { codes: [403, 431], why: "Go allows 1 MiB" },
  },
  {
    row: "11",
    name: "a bad bearer token is refused",
    request: (world) => ({ path: world.metricPath, headers: ["Authorization", `Bearer ${world.badToken}`] }),
    codes: [401],
  },
  {
    row: "13",
    name: "a path with ..",
    request: asMaster((path) => ({ path: path.replace("/default/", "/../") })),
    codes: [404],
    upstream: { codes: [200], why: "the sample takes any text for a namespace" },
  },
  {
    row: "14",
    name: "a slash in the namespace",
    request: asMaster((path) => ({ path: path.replace("/default/", "/default%2Fother/") })),
    codes: [404],
  },
  {
    row: "15",
    name: "a NUL in the metric",
    request: asMaster((path) => ({ path: `${path}%00` })),
    codes: [404],
    upstream: { codes: [200, 404], why: "the sample answers any name with an empty list" },
  },
  {
    row: "16",
    name: "an upper-case metric",
    request: asMaster((path) => ({ path: path.replace(/[^/]+$/, (name) => name.toUpperCase()) })),
    codes: [404],
    upstream: { codes: [200, 404], why: "the sample answers any name with an empty list" },
  },
  {
    row: "17",
    name: "an unknown metric",
    request: asMaster((path) => ({ path: path.replace(/[^/]+$/, "unknown") })),
    codes: [404],
    says: /"kind":"Status"/,
    upstream: { codes: [200], why: "the sample answers any name with an empty list" },
  },
  {
    row: "17a",
    name: "no namespace",
    request: asMaster((path) => ({ path: path.replace("/namespaces/default", "") })),
    codes: [404],
  },
  { row: "17b", name: "an extra segment", request: asMaster((path) => ({ path: `${path}/more` })), codes: [404] },
  {
    row: "18",
    name: "selector ===x,,",
    request: asMaster((path) => ({ path: `${path}?labelSelector=${encodeURIComponent("===x,,")}` })),
    codes: [400],
  },
  {
    row: "19",
    name: "a selector of 9 kB",
    request: asMaster((path) => ({ path: `${path}?labelSelector=a%3D${"x".repeat(9000)}` })),
    codes: [400],
  },
  {
    row: "20",
    name: "selector a in (",
    request: asMaster((path) => ({ path: `${path}?labelSelector=a+in+%28` })),
    codes: [400],
  },
  {
    row: "21",
    name: "a selector that names another namespace",
    request: asMaster((path) => ({ path: `${path}?labelSelector=targetNamespace%3Dother` })),
    codes: [404],
    upstream: { codes: [200], why: "the sample answers with an empty list" },
  },
  {
    row: "22",
    name: "limit=abc",
    request: asMaster((path, query) => ({ path: `${path}?${query}&limit=abc` })),
    codes: [400],
  },
  {
    row: "22a",
    name: "timeoutSeconds=abc",
    request: asMaster((path, query) => ({ path: `${path}?${query}&timeoutSeconds=abc` })),
    codes: [400],
  },
  {
    row: "23",
    name: "watch=true",
    request: asMaster((path, query) => ({ path: `${path}?${query}&watch=true` })),
    codes: [405],
  },
  {
    row: "23a",
    name: "watch=false is no watch",
    request: asMaster((path, query) => ({ path: `${path}?${query}&watch=false` })),
    codes: [200],
  },
  ...["POST", "PUT", "PATCH", "DELETE"].map((method) => ({
    row: "24",
    name: method,
    request: asMaster(() => ({ method })),
    codes: [405],
  })),
  { row: "25", name: "HEAD", request: asMaster(() => ({ method: "HEAD" })), codes: [405] },
  ...(
    [
      ["26", "cbor", "application/cbor", [406]],
      ["27", "a Table", "application/json;as=Table;v=v1;g=meta.k8s.io", [406]],
      ["28", "metadata only", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", [406]],
      ["29", "protobuf only", "application/vnd.kubernetes.protobuf", [406]],
      ["29a", "text", "text/html", [406]],
      ["29b", "the HPA's own", "application/vnd.kubernetes.protobuf, */*", [200]],
      ["29c", "kubectl get's own", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", [200]],
    ] as const
  ).map(([row, name, accept, codes]) => ({
    row,
    name: `Accept ${name}`,
    request: asMaster(() => ({ headers: ["Accept", accept] })),
    codes,
    upstream: {
      "28": { codes: [500], why: "upstream can't make metadata of these" },
      "29": { codes: [200, 406], why: "upstream speaks protobuf" },
      "29c": { codes: [200, 406, 500], why: "upstream may choose the Table" },
    }[row as string],
  })),
  {
    row: "30",
    name: "a body of 5 MiB",
    request: asMaster(() => ({ method: "POST", body: Buffer.alloc(5 * 2 ** 20, "x") })),
    codes: [413],
    upstream: { codes: [405, 413, "reset"], why: "upstream answers and leaves before the body has been sent" },
  },
  {
    row: "30a",
    name: "impersonation on a direct call",
    request: (world) => ({
      path: `${world.metricPath}?${world.query}`,
      headers: ["Impersonate-User", "admin", "Impersonate-Group", "system:masters"],
      certificate: world.tenant,
    }),
    codes: [403],
  },
  { row: "30b", name: "an unknown path", request: asMaster(() => ({ path: "/unknown" })), codes: [404] },
  { row: "30c", name: "an unknown path for nobody", request: () => ({ path: "/unknown" }), codes: [403] },
  { row: "30d", name: "our own metrics for nobody", request: () => ({ path: "/metrics" }), codes: [403] },
  { row: "30e", name: "a probe", request: () => ({ path: "/healthz" }), codes: [200] },
  {
    row: "30f",
    name: "discovery for nobody",
    request: () => ({ path: "/apis/external.metrics.k8s.io/v1beta1" }),
    codes: [403],
  },
];
