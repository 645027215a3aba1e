import { standbyModeAnnotation } from "../../api/labels.ts";
import { writeProbeTargets } from "../probes.ts";
import { type StandbyMode, standbyModes, tokenAudience } from "../sidecar-protocol.ts";
import { type LimitRangeItem, withinLimits } from "./limit-ranges.ts";
import { append, type Fields, fieldsOf, listOf, type PatchOperation, textOf } from "./pod-fields.ts";
import { rewriteProbes } from "./rewrite-probes.ts";
import {
  probePort,
  sidecarEnvironment,
  sidecarName,
  sidecarPaths,
  sidecarVolumes,
  tokenSeconds,
} from "./sidecar-layout.ts";
import { sidecarResources } from "./sidecar-resources.ts";

/** What the administrator says of sidecars; nothing of it comes from a pod. */
export interface SidecarOptions {
  readonly image: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  /** `host:port` of the gateway. */
  readonly server: string;
  /** Authorities of the gateway's certificate, PEM. */
  readonly authorities: string;
  /** Namespaces whose pods may have the capabilities of swap mode. */
  readonly swapNamespaces: readonly string[];
}

/** The sidecar for a pod, or why there can be none. */
export interface SidecarPlan {
  readonly patch: readonly PatchOperation[];
  /** Each with its remedy. Where there is one the patch is empty. */
  readonly problems: readonly string[];
  /** What the user should know of a sidecar that is added. */
  readonly notes: readonly string[];
}

/** The environment of a process takes 128 KiB a variable, and the object a megabyte in all. */
const longestTargets = 32 * 1024;

/** Plans the sidecar for a pod that has none yet. @param limits items of the namespace's LimitRanges */
export function planSidecar(
  pod: Fields,
  namespace: string,
  options: SidecarOptions | undefined,
  limits: readonly LimitRangeItem[] = [],
): SidecarPlan {
  const spec = fieldsOf(pod.spec);
  const annotations = fieldsOf(fieldsOf(pod.metadata).annotations);
  const mode = annotations[standbyModeAnnotation];
  const wantsSwap = mode === "Swap";
  const isKnown = mode === undefined || standbyModes.includes(mode as StandbyMode);
  const unknownMode = isKnown ? undefined : JSON.stringify(mode).slice(0, 40);
  const isSwap = wantsSwap && options?.swapNamespaces.includes(namespace) === true;
  const probes = rewriteProbes(spec.containers);
  const targets = writeProbeTargets(probes.targets);
  const usual = sidecarResources(spec);
  const resources = typeof usual === "string" ? usual : withinLimits(usual, spec, limits);
  const user = isSwap ? swapUser : userOf(spec);
  const problems = [
    ...(options ? [] : ["has no sidecar: the administrator has to set `forescale serve --sidecar-image`"]),
    ...podProblems(spec),
    ...(wantsSwap && spec.hostUsers === false
      ? [`asks for swap mode in a user namespace, where it can't work; leave out hostUsers or ${standbyModeAnnotation}`]
      : []),
    ...user.problems,
    ...probes.problems.map((each) => `has a probe that the sidecar can't answer for it: the ${each}`),
    ...(targets.length > longestTargets ? ["has probes of more than 32 KiB in all; shorten their headers"] : []),
    ...(typeof resources === "string" ? [resources] : []),
  ];
  if (!options || problems.length > 0) return { patch: [], problems, notes: [] };

  const container = {
    name: sidecarName,
    image: options.image,
    ...(options.imagePullPolicy && { imagePullPolicy: options.imagePullPolicy }),
    args: ["sidecar"],
    // A native sidecar: it starts before the application and ends after it.
    restartPolicy: "Always",
    env: environmentOf(options, targets, isSwap),
    // Its hook runs as soon as the pod is to end, before any container hears of it: what is frozen must thaw to hear.
    lifecycle: { preStop: { exec: { command: ["touch", sidecarPaths.leaving] } } },
    ...(typeof resources === "object" && { resources }),
    securityContext: {
      ...user.context,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      { name: sidecarVolumes.state, mountPath: sidecarPaths.state },
      { name: sidecarVolumes.key, mountPath: sidecarPaths.key },
      { name: sidecarVolumes.identity, mountPath: sidecarPaths.identity, readOnly: true },
    ],
  };
  const share: PatchOperation = { op: "add", path: "/spec/shareProcessNamespace", value: true };
  return {
    patch: [
      ...(spec.shareProcessNamespace === true ? [] : [share]),
      ...append("/spec/volumes", spec.volumes, volumes),
      // Last: it is there before the application, and does not wait idle for the init containers of before.
      ...append("/spec/initContainers", spec.initContainers, [container]),
      ...probes.patch,
    ],
    problems: [],
    notes: [
      ...user.notes,
      ...(unknownMode === undefined
        ? []
        : [`${standbyModeAnnotation} ${unknownMode} is none of ${standbyModes.join(", ")}; it gets image mode`]),
      ...(wantsSwap && !isSwap
        ? [
            `swap mode is not allowed in namespace ${namespace} (\`forescale serve --swap-namespaces\`); it gets image mode`,
          ]
        : []),
    ],
  };
}

function podProblems(spec: Fields): string[] {
  const problems: string[] = [];
  const { restartPolicy = "Always", shareProcessNamespace } = spec;
  const containers = [...listOf(spec.containers), ...listOf(spec.initContainers)];
  // In doubt an application is ended and started again: without that policy the pod would end with it.
  if (restartPolicy !== "Always")
    problems.push(`has restartPolicy ${textOf(restartPolicy)}; Standby is for pods that run on`);
  if (shareProcessNamespace === false)
    problems.push("sets shareProcessNamespace to false, and the sidecar must see the application; leave it out");
  if (containers.some(({ ports }) => listOf(ports).some(({ containerPort }) => containerPort === probePort)))
    problems.push(`uses port ${probePort}, which is the sidecar's; choose another`);
  const ours: readonly string[] = Object.values(sidecarVolumes);
  const taken = listOf(spec.volumes)
    .map(({ name }) => textOf(name))
    .find((name) => ours.includes(name));
  if (taken) problems.push(`has a volume ${taken}, which is the sidecar's; rename it`);
  return problems;
}

interface User {
  readonly context: Fields;
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

// The kernel lets a process ask this of another user's only with these; KILL stops and continues it.
const swapUser: User = {
  context: {
    runAsUser: 0,
    runAsNonRoot: false,
    capabilities: { drop: ["ALL"], add: ["KILL", "SYS_NICE", "SYS_PTRACE"] },
  },
  problems: [],
  notes: [],
};

/** In image mode the application's own user: the kernel lets processes of one user and group read each other's memory. */
function userOf(spec: Fields): User {
  const idsOf = (field: "runAsUser" | "runAsGroup") =>
    new Set(
      listOf(spec.containers).map(
        ({ securityContext }) => fieldsOf(securityContext)[field] ?? fieldsOf(spec.securityContext)[field],
      ),
    );
  const [users, groups] = [idsOf("runAsUser"), idsOf("runAsGroup")];
  const [[uid], [gid]] = [[...users], [...groups]];
  const problems: string[] = [];
  if (users.size > 1) problems.push("runs its containers as several users; give them one securityContext.runAsUser");
  else if (typeof uid !== "number")
    problems.push("does not say its user, which the sidecar must share; set securityContext.runAsUser");
  else if (uid === 0) problems.push("runs as root; set securityContext.runAsUser to another user");
  if (groups.size > 1) problems.push("runs its containers as several groups; give them one securityContext.runAsGroup");
  const hasGroup = typeof gid === "number";
  return {
    context: {
      runAsUser: uid,
      ...(hasGroup && { runAsGroup: gid }),
      runAsNonRoot: true,
      capabilities: { drop: ["ALL"] },
    },
    problems,
    notes: hasGroup
      ? []
      : [
          "set securityContext.runAsGroup: where the image's own group is not 0, the sidecar can't freeze the application",
        ],
  };
}

function environmentOf(options: SidecarOptions, targets: string, isSwap: boolean): readonly Fields[] {
  const names = sidecarEnvironment;
  const fromField = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  return [
    { name: names.server, value: options.server },
    { name: names.authorities, value: options.authorities },
    { name: names.probes, value: targets },
    ...(isSwap ? [{ name: names.swap, value: "true" }] : []),
    fromField(names.podName, "metadata.name"),
    fromField(names.podNamespace, "metadata.namespace"),
    fromField(names.podUid, "metadata.uid"),
  ];
}

const volumes: readonly Fields[] = [
  { name: sidecarVolumes.state, emptyDir: {} },
  { name: sidecarVolumes.key, emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  {
    name: sidecarVolumes.identity,
    projected: {
      sources: [
        { serviceAccountToken: { audience: tokenAudience, expirationSeconds: tokenSeconds, path: "token" } },
        {
          downwardAPI: {
            items: [
              { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
              { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
            ],
          },
        },
      ],
    },
  },
];
