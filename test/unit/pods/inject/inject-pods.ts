import fc from "fast-check";
import type { Fields, PatchOperation } from "../../../../src/pods/inject/pod-fields.ts";

/** The operations of a JSON patch as the webhook writes them, done to a copy. */
export function patched(document: unknown, patch: readonly PatchOperation[]): Fields {
  const result = structuredClone(document) as Fields;
  for (const { op, path, value } of patch) {
    const keys = path
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop()!;
    let parent: unknown = result;
    for (const key of keys) parent = (parent as Record<string, unknown>)[key];
    if (parent === undefined || parent === null) throw new Error(`${path}: nothing to put it in`);
    const copy = structuredClone(value);
    if (Array.isArray(parent) && last === "-") parent.push(copy);
    else {
      // As RFC 6902 has it: what is replaced must be there.
      if (op === "replace" && !(last in (parent as object))) throw new Error(`${path}: nothing to replace`);
      (parent as Record<string, unknown>)[last] = copy;
    }
  }
  return result;
}

/** Mostly what a sensible pod has. */
const mostly = <T>(usual: T, ...rare: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, ...rare.map((each) => fc.constant(each)));
const opt = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
/** Without the keys that are absent, as JSON has it. */
const json = <T>(arbitrary: fc.Arbitrary<T>) => arbitrary.map((value) => JSON.parse(JSON.stringify(value)) as Fields);

const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }), mostly("http", "gone"));
const handler = fc.oneof(
  fc.record({
    httpGet: fc.record({
      path: opt(fc.constantFrom("/healthz", "/a?b=$(HOME)", "")),
      port,
      scheme: opt(fc.constantFrom("HTTP", "HTTPS")),
      host: mostly<string | undefined>(undefined, "", "127.0.0.1"),
      httpHeaders: opt(fc.array(fc.record({ name: fc.constant("X-A"), value: fc.string() }), { maxLength: 2 })),
    }),
  }),
  fc.record({ tcpSocket: fc.record({ port }) }),
  fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 65_535 }), service: opt(fc.string()) }) }),
  fc.record({ exec: fc.record({ command: fc.constant(["true"]) }) }),
);
const probe = fc
  .tuple(handler, fc.record({ timeoutSeconds: opt(fc.integer({ min: 1, max: 60 })), future: opt(fc.anything()) }))
  .map(([asks, more]) => ({ ...more, ...asks }));
const amounts = opt(
  fc.record({
    cpu: opt(fc.constantFrom("100m", "0.1", "1")),
    memory: opt(fc.constantFrom("64Mi", "67108864", "1Gi")),
    "ephemeral-storage": opt(fc.constant("1Gi")),
  }),
);
const id = opt(fc.integer({ min: 0, max: 3 }));

/** What Pod Security's `restricted` asks of a container. */
const restrictedContext = fc.record({ runAsUser: opt(fc.integer({ min: 1, max: 3 })), runAsGroup: id }).map((ids) => ({
  ...ids,
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
}));
const anyContext = opt(fc.record({ runAsUser: id, runAsGroup: id, privileged: opt(fc.boolean()) }));

const container = (context: fc.Arbitrary<unknown>) =>
  fc.record({
    name: fc.oneof(mostly("app", "forescale-sidecar"), fc.constantFrom("web", "log")),
    image: fc.constant("app:1"),
    ports: mostly<unknown>([{ name: "http", containerPort: 8080 }], undefined),
    livenessProbe: opt(probe),
    readinessProbe: opt(probe),
    startupProbe: opt(probe),
    lifecycle: opt(fc.constant({ preStop: { httpGet: { port: "http" } } })),
    resources: opt(fc.record({ requests: amounts, limits: amounts })),
    securityContext: context,
    futureField: opt(fc.anything()),
  });

function pods(context: fc.Arbitrary<unknown>, more: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Fields> {
  return json(
    fc.record({
      metadata: fc.record({
        generateName: fc.constant("web-"),
        labels: fc.record({ "forescale.io/inject": mostly<string | undefined>("standby", "gate", "no", undefined) }),
        annotations: opt(fc.record({ "forescale.io/standby-mode": opt(fc.constantFrom("Image", "Swap")) })),
      }),
      spec: fc.record({
        containers: fc.array(container(context), { maxLength: 3 }),
        initContainers: opt(fc.array(container(context), { maxLength: 2 })),
        volumes: mostly<unknown>(
          undefined,
          [],
          [{ name: "data", emptyDir: {} }],
          [{ name: "forescale-key", emptyDir: {} }],
        ),
        readinessGates: opt(
          fc.constantFrom([], [{ conditionType: "a.io/b" }], [{ conditionType: "forescale.io/online" }]),
        ),
        restartPolicy: mostly<string | undefined>(undefined, "Always", "Never"),
        shareProcessNamespace: mostly<boolean | undefined>(undefined, true, false),
        futureField: opt(fc.anything()),
        ...more,
      }),
    }),
  );
}

/** Any pod, sensible or not. */
export const anyPod = pods(anyContext, {
  hostPID: mostly(false, true),
  hostNetwork: mostly(false, true),
  hostUsers: opt(fc.boolean()),
  os: mostly<unknown>(undefined, { name: "linux" }, { name: "windows" }),
  nodeSelector: mostly<unknown>(undefined, { "kubernetes.io/os": "windows" }),
  securityContext: anyContext,
  resources: opt(fc.record({ limits: amounts })),
});

/** Pods that `restricted` lets in. */
export const restrictedPod = pods(restrictedContext, {
  hostUsers: opt(fc.boolean()),
  securityContext: fc.record({ runAsUser: mostly<number | undefined>(1, 2, undefined), runAsGroup: id }),
});

const volumeTypes = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

/** What the `restricted` Pod Security Standard has against a pod; the parts of it that our generators and patches touch. */
export function restrictedProblems({ spec }: Fields): string[] {
  // biome-ignore lint/suspicious/noExplicitAny: pods of any shape
  const pod = spec as Record<string, any>;
  const problems: string[] = [];
  for (const field of ["hostNetwork", "hostPID", "hostIPC"]) if (pod[field] === true) problems.push(field);
  for (const volume of pod.volumes ?? [])
    if (Object.keys(volume).some((key) => key !== "name" && !volumeTypes.includes(key)))
      problems.push(`volume ${volume.name}`);
  for (const each of [...(pod.containers ?? []), ...(pod.initContainers ?? [])]) {
    const context = each.securityContext ?? {};
    const complain = (what: string) => problems.push(`${each.name}: ${what}`);
    if (context.privileged === true) complain("privileged");
    if (context.allowPrivilegeEscalation !== false) complain("allowPrivilegeEscalation");
    if (!context.capabilities?.drop?.includes("ALL")) complain("capabilities.drop");
    if (context.capabilities?.add?.some((name: string) => name !== "NET_BIND_SERVICE")) complain("capabilities.add");
    if ((context.runAsNonRoot ?? pod.securityContext?.runAsNonRoot) !== true) complain("runAsNonRoot");
    if ((context.runAsUser ?? pod.securityContext?.runAsUser) === 0) complain("runAsUser");
    const seccomp = (context.seccompProfile ?? pod.securityContext?.seccompProfile)?.type;
    if (seccomp !== "RuntimeDefault" && seccomp !== "Localhost") complain("seccompProfile");
    if (context.procMount !== undefined && context.procMount !== "Default") complain("procMount");
    for (const { hostPort } of each.ports ?? []) if (hostPort) complain("hostPort");
  }
  return problems;
}
