import { setTimeout as sleep } from "node:timers/promises";
import type { ReplicaProfile } from "../../src/api/kinds/replica-profile.ts";
import { inParallel } from "../../src/controllers/pods/pod-writer.ts";
import { type KubeObject, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { Reflector } from "../../src/kube/watch/reflector.ts";
import { addDeployment } from "../cluster/objects.ts";
import { type Controller, type ControllersRig, namespace, startControllersRig } from "../contract/controllers-rig.ts";

const moved = 100;
const kept = 10;
const rounds = 5;
const singles = 50;
const profiles = resourceOf("ReplicaProfile");

interface Pod extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/**
 * How soon gates are written once a profile wants it, seen by a watch; the time to write the profile is part of it. The last row is what
 * the same writes take where nobody decides anything: what this API server can do.
 */
export default {
  name: `pod gates: one and ${moved} of ${moved + kept} pods cut off and taken back, on a real API server`,
  async run(show: (text: string) => void): Promise<void> {
    const rig = await startControllersRig();
    const stopped = new AbortController();
    try {
      await measure(rig, await rig.startController(), stopped.signal, show);
    } finally {
      stopped.abort();
      await rig.stop();
    }
  },
};

async function measure(
  { plane, client }: ControllersRig,
  controller: Controller,
  signal: AbortSignal,
  show: (text: string) => void,
): Promise<void> {
  const name = "gates";
  const gates = new Map<string, boolean>();
  let onGate = (_: boolean) => {};
  const pods = new Reflector<Pod>({ client, resource: resources.pods, labelSelector: `app=${name}` });
  pods.onChange(({ object: { metadata, status } }) => {
    const isIn = status?.conditions?.some(({ type, status: is }) => type === "forescale.io/online" && is === "True");
    if (isIn === undefined || gates.get(metadata.name) === isIn) return;
    gates.set(metadata.name, isIn);
    onGate(isIn);
  });
  void pods.start(signal);
  await addDeployment(plane.kubectl, {
    name,
    replicas: moved + kept,
    podSpec: { readinessGates: [{ conditionType: "forescale.io/online" }] },
  });
  await client.create(profiles, {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "ReplicaProfile",
    metadata: { name, namespace },
    spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name }, onlineReplicas: moved + kept },
  } as ReplicaProfile as KubeObject);
  while ([...gates.values()].filter(Boolean).length < moved + kept) await sleep(100);
  // Until then no pod changes state.
  await plane.kubectl(["rollout", "status", `deployment/${name}`, "-n", namespace, "--timeout=120s"]);
  /** Milliseconds until each of so many pods has its gate. */
  const heard = async (count: number, isIn: boolean, act: () => Promise<unknown>): Promise<number[]> => {
    const times: number[] = [];
    const startedMs = performance.now();
    const all = new Promise<void>((resolve) => {
      onGate = (is) => {
        if (is === isIn && times.push(performance.now() - startedMs) === count) resolve();
      };
    });
    // What kubelets do about it is done on their nodes, not on the API server's machine.
    await plane.kill("kwok", "SIGSTOP");
    await act();
    await all;
    await plane.kill("kwok", "SIGCONT");
    return times;
  };
  /** With so many pods out of service. */
  const want = async (cutoffReplicas: number, count: number, isIn: boolean, restMs: number): Promise<number[]> => {
    await sleep(restMs); // the cluster's own work on what happened before
    const onlineReplicas = moved + kept - cutoffReplicas;
    const spec = { onlineReplicas, cutoffReplicas };
    return heard(count, isIn, () => client.patch(profiles, { namespace, name }, "Merge", { spec }));
  };
  const one: number[] = [];
  for (let k = 0; k < singles; k++) {
    show(`one pod, ${k} of ${singles}`);
    one.push(...(await want(1 - (k % 2), 1, k % 2 === 1, 500)));
  }
  const [out, back]: [number[], number[]] = [[], []];
  const slowest: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    show(`${moved} pods, ${round} of ${rounds}`);
    out.push(...(await want(moved, moved, false, 5000)));
    const times = await want(0, moved, true, 5000);
    back.push(...times);
    slowest.push(Math.max(...times));
  }
  await controller.kill();
  const bare: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await sleep(5000);
    const isIn = round % 2 === 1;
    const conditions = [{ type: "forescale.io/online", status: isIn ? "True" : "False" }];
    const some = [...gates.keys()].slice(0, moved);
    const write = (each: string) =>
      client
        .patch(
          resources.pods,
          { namespace, name: each },
          "Strategic",
          { status: { conditions } },
          { subresource: "status" },
        )
        .then(() => {});
    bare.push(...(await heard(moved, isIn, () => inParallel(some, 24, write))));
  }
  const row = (times: number[]) => {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
    return { "median (ms)": at(0.5), "p99 (ms)": at(0.99), "worst (ms)": at(1) };
  };
  console.table({
    "one pod": row(one),
    [`${moved} cut off`]: row(out),
    [`${moved} taken back`]: row(back),
    [`${moved} bare writes`]: row(bare),
  });
  console.table({ [`all ${moved} back, median of ${rounds} (ms)`]: Math.round(slowest.toSorted((a, b) => a - b)[2]) });
}
