import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { notInjectedAnnotation as notInjected } from "../../../../src/api/labels.ts";
import { injectPod } from "../../../../src/pods/inject/inject-pod-states.ts";
import type { Fields } from "../../../../src/pods/inject/pod-fields.ts";
import {
  probePort,
  sidecarEnvironment,
  sidecarName,
  sidecarPaths,
} from "../../../../src/pods/inject/sidecar-layout.ts";
import type { SidecarOptions } from "../../../../src/pods/inject/sidecar-plan.ts";
import { probePath, readProbeTargets } from "../../../../src/pods/probes.ts";
import { anyPod, patched, restrictedPod, restrictedProblems } from "./inject-pods.ts";

const sidecar: SidecarOptions = {
  image: "forescale:1",
  server: "forescale-server.forescale-system.svc:443",
  authorities: "PEM",
  swapNamespaces: ["batch"],
};
const options = { namespace: "shop", isGateSet: true, sidecar };

// biome-ignore lint/suspicious/noExplicitAny: pods of any shape
type Loose = Record<string, any>;

/** A pod that gets all it asks for, unless a test changes it. */
function podOf(wish: string, spec: Loose = {}, container: Loose = {}, annotations?: Loose): Loose {
  return {
    metadata: { generateName: "web-", labels: { "forescale.io/inject": wish }, ...(annotations && { annotations }) },
    spec: {
      containers: [{ name: "app", image: "app:1", ...container }],
      securityContext: { runAsUser: 1000, runAsGroup: 1000 },
      ...spec,
    },
  };
}

function inject(pod: unknown, more: Partial<typeof options> = {}) {
  const injection = injectPod(pod, { ...options, ...more });
  const after = patched(pod, injection.patch) as Loose;
  const told = after.metadata?.annotations?.[notInjected] as string | undefined;
  const patch = injection.patch.filter(({ path }) => !path.startsWith("/metadata/annotations"));
  const added = after.spec?.initContainers?.find(({ name }: Loose) => name === sidecarName) as Loose | undefined;
  return { ...injection, patch, after, added, told };
}

function targetsOf(added: Loose | undefined) {
  return readProbeTargets(added?.env.find(({ name }: Loose) => name === sidecarEnvironment.probes).value);
}

describe("the gate", () => {
  test("is added to a pod that asks for it, beside the gates that it has, and once", () => {
    expect(inject(podOf("gate")).after.spec.readinessGates).toEqual([{ conditionType: "forescale.io/online" }]);
    const others = { readinessGates: [{ conditionType: "a.io/b" }] };
    const { after, outcome } = inject(podOf("gate", others));
    expect(after.spec.readinessGates.map(({ conditionType }: Loose) => conditionType)).toEqual([
      "a.io/b",
      "forescale.io/online",
    ]);
    expect(outcome).toBe("Gate");
    expect(inject(after).patch).toEqual([]);
  });

  test("is not added while nobody is there to set it, and the warning says so", () => {
    for (const wish of ["gate", "standby"]) {
      const { patch, warnings, outcome } = inject(podOf(wish), { isGateSet: false });
      expect(patch).toEqual([]);
      expect(outcome).toBe("Refused");
      expect(warnings).toEqual([expect.stringMatching(/no controller.*can't be cut off/)]);
    }
  });

  test("alone leaves probes, processes and containers as they are", () => {
    const pod = podOf("gate", {}, { livenessProbe: { httpGet: { port: 80 } } });
    expect(inject(pod).patch.map(({ path }) => path)).toEqual(["/spec/readinessGates"]);
  });

  test.each([
    ["no label", { metadata: {}, spec: podOf("gate").spec }],
    ["a pod that opts out", podOf("disabled")],
    ["a mirror pod", podOf("standby", {}, {}, { "kubernetes.io/config.mirror": "hash" })],
    ["a pod without containers", { ...podOf("standby"), spec: {} }],
    ["no pod at all", null],
    ["a list", []],
  ])("%s gets nothing, and no warning", (_, pod) => {
    expect(injectPod(pod, options)).toEqual({ outcome: "NotAsked", patch: [], warnings: [] });
  });

  test.each(["Standby", "true", ""])("another value of the label, %j, gets nothing but a word why", (value) => {
    const { patch, warnings, told } = inject(podOf(value));
    expect(patch).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(`${JSON.stringify(value)} is neither gate nor standby`)]);
    expect(told).toBe(warnings[0]);
  });

  test.each([
    ["Windows, by os", { os: { name: "windows" } }, /Windows/],
    ["Windows, by node selector", { nodeSelector: { "kubernetes.io/os": "windows" } }, /Windows/],
    ["hostPID", { hostPID: true }, /hostPID/],
    ["hostNetwork", { hostNetwork: true }, /hostNetwork/],
    ["a container of our name", { initContainers: [{ name: sidecarName, image: "evil" }] }, /was not added here/],
  ])("%s: the pod is left as it is, with a warning", (_, spec, warning) => {
    for (const wish of ["gate", "standby"]) {
      const { patch, warnings } = inject(podOf(wish, spec));
      expect(patch).toEqual([]);
      expect(warnings).toEqual([expect.stringMatching(warning)]);
    }
  });
});

describe("the sidecar", () => {
  test("is a native sidecar of the administrator's image, as the application's user, with nothing more than it needs", () => {
    const pod = podOf("standby", { initContainers: [{ name: "setup", image: "setup:1" }] });
    const { after, added, outcome, warnings } = inject(pod);
    expect(outcome).toBe("Standby");
    expect(warnings).toEqual([]);
    expect(after.spec.initContainers.map(({ name }: Loose) => name)).toEqual(["setup", sidecarName]);
    expect(after.spec.shareProcessNamespace).toBe(true);
    expect(added).toMatchObject({
      image: "forescale:1",
      args: ["sidecar"],
      restartPolicy: "Always",
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 1000,
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
        seccompProfile: { type: "RuntimeDefault" },
      },
      lifecycle: { preStop: { exec: { command: ["touch", sidecarPaths.leaving] } } },
    });
    expect(added!.securityContext.capabilities.add).toBeUndefined();
  });

  test("alone mounts its token, key and images; the key is in memory and the token is bound to our audience", () => {
    const { after, added } = inject(podOf("standby", {}, { volumeMounts: [{ name: "data", mountPath: "/data" }] }));
    const names = after.spec.volumes.map(({ name }: Loose) => name);
    expect(added!.volumeMounts.map(({ name }: Loose) => name)).toEqual(names);
    expect(after.spec.containers[0].volumeMounts).toEqual([{ name: "data", mountPath: "/data" }]);
    const volume = (name: string) => after.spec.volumes.find((each: Loose) => each.name === name);
    expect(volume("forescale-key").emptyDir.medium).toBe("Memory");
    expect(volume("forescale-state").emptyDir.medium).toBeUndefined();
    const [token, pod] = volume("forescale-identity").projected.sources;
    expect(token.serviceAccountToken.audience).toBe("forescale");
    expect(token.serviceAccountToken.expirationSeconds).toBeGreaterThanOrEqual(600);
    expect(pod.downwardAPI.items.map(({ fieldRef }: Loose) => fieldRef.fieldPath)).toEqual([
      "metadata.labels",
      "metadata.annotations",
    ]);
  });

  test("takes nothing of itself from the pod's annotations", () => {
    const annotations = { "forescale.io/sidecar-image": "evil", "forescale.io/image": "evil", image: "evil" };
    expect(inject(podOf("standby", {}, {}, annotations)).added!.image).toBe("forescale:1");
  });

  const exec = { exec: { command: ["true"] } };
  test.each<[string, Loose, Loose, RegExp]>([
    ["no user", { securityContext: {} }, {}, /runAsUser/],
    ["root", { securityContext: { runAsUser: 0 } }, {}, /root/],
    [
      "two users",
      { containers: [{ name: "a", securityContext: { runAsUser: 1 } }, { name: "b" }] },
      {},
      /several users/,
    ],
    [
      "two groups",
      { containers: [{ name: "a", securityContext: { runAsGroup: 1 } }, { name: "b" }] },
      {},
      /several groups/,
    ],
    ["an exec liveness probe", {}, { livenessProbe: exec }, /liveness probe of container app runs a command/],
    ["a probe of another host", {}, { readinessProbe: { tcpSocket: { host: "db", port: 1 } } }, /names a host/],
    ["a probe of a port that is not there", {}, { readinessProbe: { httpGet: { port: "web" } } }, /"web"/],
    ["a process namespace of its own", { shareProcessNamespace: false }, {}, /shareProcessNamespace/],
    ["the sidecar's port", {}, { ports: [{ containerPort: probePort }] }, /15981/],
    ["a volume of ours", { volumes: [{ name: "forescale-key", emptyDir: {} }] }, {}, /rename/],
    ["a pod that ends", { restartPolicy: "OnFailure" }, {}, /restartPolicy OnFailure/],
    [
      "limited storage, unlimited memory",
      {},
      { resources: { limits: { "ephemeral-storage": "1Gi" } } },
      /limits.memory/,
    ],
    [
      "enormous probes",
      {},
      { livenessProbe: { httpGet: { port: 80, httpHeaders: [{ name: "X", value: "x".repeat(40_000) }] } } },
      /32 KiB/,
    ],
  ])("%s: only the gate is added, with a warning that says what to do", (_, spec, container, warning) => {
    const { patch, warnings, outcome } = inject(podOf("standby", spec, container));
    expect(outcome).toBe("GateOnly");
    expect(patch).toEqual([
      { op: "add", path: "/spec/readinessGates", value: [{ conditionType: "forescale.io/online" }] },
    ]);
    expect(warnings).toContainEqual(expect.stringMatching(warning));
  });

  test("is not to be had where the administrator has named no image", () => {
    const { outcome, warnings } = inject(podOf("standby"), { sidecar: undefined });
    expect(outcome).toBe("GateOnly");
    expect(warnings).toEqual([expect.stringMatching(/--sidecar-image/)]);
  });

  test("all that is wrong is said at once", () => {
    const pod = podOf("standby", { securityContext: {}, restartPolicy: "Never" }, { livenessProbe: exec });
    expect(inject(pod).warnings).toHaveLength(3);
  });

  test("a group that is left to the image is pointed out, as the kernel asks for the same one", () => {
    const { outcome, warnings, added } = inject(podOf("standby", { securityContext: { runAsUser: 7 } }));
    expect(outcome).toBe("Standby");
    expect(added!.securityContext).not.toHaveProperty("runAsGroup");
    expect(warnings).toEqual([expect.stringMatching(/runAsGroup/)]);
  });

  describe("in swap mode", () => {
    const wish = { "forescale.io/standby-mode": "Swap" };
    test("has its capabilities where the administrator allows them, and says so to itself", () => {
      const { added } = inject(podOf("standby", {}, {}, wish), { namespace: "batch" });
      expect(added!.securityContext).toMatchObject({
        runAsUser: 0,
        capabilities: { drop: ["ALL"], add: ["KILL", "SYS_NICE", "SYS_PTRACE"] },
      });
      expect(added!.env).toContainEqual({ name: "FORESCALE_SWAP", value: "true" });
    });

    test("is image mode elsewhere, with a warning, and where the pod does not ask", () => {
      const elsewhere = inject(podOf("standby", {}, {}, wish));
      expect(elsewhere.added!.securityContext.capabilities).toEqual({ drop: ["ALL"] });
      expect(elsewhere.warnings).toEqual([expect.stringMatching(/--swap-namespaces/)]);
      expect(elsewhere.told).toBe(elsewhere.warnings[0]);
      const unasked = inject(podOf("standby"), { namespace: "batch" });
      expect(unasked.added!.securityContext.capabilities).toEqual({ drop: ["ALL"] });
    });

    test("is refused in a user namespace, where the kernel never allows it", () => {
      const { outcome, warnings } = inject(podOf("standby", { hostUsers: false }, {}, wish), { namespace: "batch" });
      expect(outcome).toBe("GateOnly");
      expect(warnings).toEqual([expect.stringMatching(/user namespace/)]);
      expect(inject(podOf("standby", { hostUsers: false })).outcome).toBe("Standby");
    });
  });

  describe("resources", () => {
    const resourcesOf = (resources: Loose, spec: Loose = {}) =>
      inject(podOf("standby", spec, { resources })).added!.resources;
    const both = { cpu: "1", memory: "1Gi" };

    test("keep the pod's QoS class", () => {
      expect(resourcesOf({})).toBeUndefined();
      const guaranteed = resourcesOf({ limits: both });
      expect(guaranteed.requests).toEqual(guaranteed.limits);
      expect(Object.keys(guaranteed.limits)).toEqual(["cpu", "memory"]);
      expect(resourcesOf({ requests: { cpu: "1000m", memory: "1024Mi" }, limits: both })).toEqual(guaranteed);
      const burstable = resourcesOf({ requests: { cpu: "1" } });
      expect(burstable.requests).not.toEqual(burstable.limits);
    });

    test("have a CPU limit where every container has one, as a quota may demand, and else none", () => {
      expect(resourcesOf({ requests: { cpu: "500m" }, limits: both }).limits.cpu).toBeDefined();
      expect(resourcesOf({ limits: { memory: "1Gi" } }).limits).toEqual({ memory: "256Mi" });
    });

    test("are none where the pod's are set as a whole, whose sum ours would pass", () => {
      expect(resourcesOf({}, { resources: { limits: both } })).toBeUndefined();
    });

    test("have room for the image where local storage is limited, without asking the scheduler for it", () => {
      const limits = { memory: "1Gi", "ephemeral-storage": "100Mi" };
      const { requests, limits: given } = resourcesOf({ limits });
      expect(Number(given["ephemeral-storage"])).toBeGreaterThan(1.2 * 2 ** 30);
      expect(requests["ephemeral-storage"]).toBe("16Mi");
    });
  });
});

describe("probes", () => {
  const ports = [{ name: "http", containerPort: 8080 }];
  const livenessProbe = {
    httpGet: { path: "/live?x=$(HOME)", port: "http", scheme: "HTTPS", httpHeaders: [{ name: "X-A", value: "b" }] },
    timeoutSeconds: 7,
    periodSeconds: 3,
    failureThreshold: 9,
    terminationGracePeriodSeconds: 5,
    fieldOfTheFuture: true,
  };

  test("ask the sidecar, with the user's times, and the sidecar knows what they asked", () => {
    const { after, added } = inject(podOf("standby", {}, { ports, livenessProbe }));
    const { httpGet: _, ...times } = livenessProbe;
    expect(after.spec.containers[0].livenessProbe).toEqual({
      ...times,
      httpGet: { path: "/probes/app/liveness", port: probePort, scheme: "HTTP" },
    });
    expect(targetsOf(added)).toEqual([
      {
        container: "app",
        probe: "liveness",
        timeoutSeconds: 7,
        handler: {
          type: "HttpGet",
          scheme: "HTTPS",
          port: 8080,
          path: "/live?x=$(HOME)",
          headers: [{ name: "X-A", value: "b" }],
        },
      },
    ]);
    const { value } = added!.env.find(({ name }: Loose) => name === sidecarEnvironment.probes);
    expect(value).not.toContain("$");
  });

  test("of every kind and every way to ask are answered, those by command but for liveness left alone", () => {
    const container = {
      ports,
      lifecycle: { preStop: { httpGet: { port: "http" } } },
      livenessProbe: { tcpSocket: { port: "http" } },
      readinessProbe: { grpc: { port: 9000, service: "shop" } },
      startupProbe: { exec: { command: ["true"] } },
    };
    const { after, added } = inject(podOf("standby", {}, container));
    const [app] = after.spec.containers;
    expect(targetsOf(added).map(({ probe, handler, timeoutSeconds }) => ({ probe, handler, timeoutSeconds }))).toEqual([
      { probe: "liveness", handler: { type: "TcpSocket", port: 8080 }, timeoutSeconds: 1 },
      { probe: "readiness", handler: { type: "Grpc", port: 9000, service: "shop" }, timeoutSeconds: 1 },
    ]);
    expect(app.livenessProbe).toEqual({ httpGet: { path: "/probes/app/liveness", port: probePort, scheme: "HTTP" } });
    expect(app.readinessProbe).not.toHaveProperty("grpc");
    expect(app.startupProbe).toEqual(container.startupProbe);
    expect(app.lifecycle).toEqual(container.lifecycle);
  });

  test("of init containers stay: one that starts before the sidecar would wait for it for ever", () => {
    const native = { name: "mesh", restartPolicy: "Always", startupProbe: { httpGet: { port: 15021 } } };
    const { after } = inject(podOf("standby", { initContainers: [native] }));
    expect(after.spec.initContainers[0]).toEqual(native);
  });

  test("that another webhook has since pointed to itself are left: taking them up would be a circle", () => {
    const { after, added } = inject(podOf("standby", {}, { ports, livenessProbe }));
    const meshed = structuredClone(after);
    meshed.spec.containers[0].livenessProbe.httpGet = { path: "/app-health/app/livez", port: 15020 };
    const again = inject(meshed);
    expect(again.patch).toEqual([]);
    expect(targetsOf(again.added)).toEqual(targetsOf(added));
  });

  test("of a container that another webhook has added since are taken up as well", () => {
    const { after } = inject(podOf("standby", {}, { ports, livenessProbe }));
    after.spec.containers.push({ name: "mesh", readinessProbe: { tcpSocket: { port: 15021 } } });
    const { patch, added, after: last } = inject(after);
    expect(targetsOf(added).map(({ container }) => container)).toEqual(["app", "mesh"]);
    expect(last.spec.containers[1].readinessProbe.httpGet.path).toBe("/probes/mesh/readiness");
    expect(patch).toHaveLength(2);
    expect(inject(last).patch).toEqual([]);
  });

  test.each([
    "",
    "{",
    "{}",
    "[1]",
    '[{"container":"a","probe":"liveness","timeoutSeconds":1,"handler":{"type":"X","port":1}}]',
  ])("targets that read %j are refused by the sidecar", (text) => {
    expect(() => readProbeTargets(text)).toThrow(RangeError);
  });
});

describe("whatever the pod", () => {
  const namespaces = fc.constantFrom("shop", "batch");
  const runs = { numRuns: 700 };

  test("a second look at what came out changes nothing, and says what became of it again", () => {
    fc.assert(
      fc.property(anyPod, namespaces, fc.boolean(), (pod, namespace, isGateSet) => {
        const first = inject(pod, { namespace, isGateSet });
        const second = inject(first.after, { namespace, isGateSet });
        expect(second.patch).toEqual([]);
        // Without a controller a pod that has its gate needs none.
        if (first.outcome !== "Refused") expect(second.told).toBe(first.told);
        if (first.outcome !== "Refused") expect(second.outcome).toBe(first.outcome);
      }),
      runs,
    );
  });

  test("what `restricted` Pod Security lets in, it lets in after", () => {
    let standbys = 0;
    fc.assert(
      fc.property(restrictedPod, (pod) => {
        expect(restrictedProblems(pod)).toEqual([]);
        const { after, outcome } = inject(pod);
        if (outcome === "Standby") standbys++;
        expect(restrictedProblems(after)).toEqual([]);
      }),
      runs,
    );
    expect(standbys).toBeGreaterThan(15); // it was about the sidecar
  });

  test("nothing is taken away or changed but where probes ask", () => {
    fc.assert(
      fc.property(anyPod, namespaces, (pod, namespace) => {
        const { after } = inject(pod, { namespace });
        const before = structuredClone(pod) as Loose;
        for (const [index, container] of (before.spec.containers as Loose[]).entries())
          for (const kind of ["liveness", "readiness", "startup"]) {
            const field = `${kind}Probe`;
            const now = after.spec.containers[index][field];
            if (now?.httpGet?.path !== probePath({ container: container.name, probe: kind as "liveness" })) continue;
            container[field] = Object.fromEntries(
              Object.entries(container[field]).filter(([key]) => !["httpGet", "tcpSocket", "grpc"].includes(key)),
            );
          }
        expect(after).toMatchObject(withoutLists(before));
        for (const list of ["containers", "initContainers", "volumes", "readinessGates"]) {
          const had = (before.spec[list] ?? []) as unknown[];
          expect(after.spec[list] ?? []).toMatchObject([
            ...had,
            ...((after.spec[list] ?? []) as unknown[]).slice(had.length),
          ]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("any JSON at all is answered without an exception", () => {
    // What can't be made a text by its own doing is rarer than it should be.
    const value = fc.oneof({ weight: 9, arbitrary: fc.jsonValue() }, fc.constant({ toString: 0, valueOf: 0 }));
    const podlike = fc.record({
      metadata: fc.record({ labels: fc.constant({ "forescale.io/inject": "standby" }), annotations: value }),
      spec: fc.record({
        containers: fc.oneof(
          fc.array(value),
          fc.array(
            fc.record({ name: value, livenessProbe: value, ports: value, resources: value, securityContext: value }),
          ),
        ),
        initContainers: value,
        volumes: value,
        readinessGates: value,
        securityContext: value,
        resources: value,
        os: value,
      }),
    });
    fc.assert(
      fc.property(fc.oneof(value, podlike), (pod) => {
        expect(injectPod(pod, options).patch).toBeInstanceOf(Array);
      }),
      runs,
    );
  });

  test("a warning is short enough for the API server to pass on whole", () => {
    fc.assert(
      fc.property(anyPod, (pod) => {
        for (const warning of inject(pod).warnings) expect(warning.length).toBeLessThanOrEqual(256);
      }),
      { numRuns: 300 },
    );
  });
});

/** The fields of the pod's spec that are no lists that grow. */
function withoutLists({ metadata, spec }: Loose): Fields {
  const { containers: _c, initContainers: _i, volumes: _v, readinessGates: _r, ...rest } = spec;
  return { metadata, spec: rest };
}
