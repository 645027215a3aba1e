import { beforeEach, describe, expect, test } from "vitest";
import { type ReplicaProfile, replicaProfileSpec } from "../../../../src/api/kinds/replica-profile.ts";
import { apiVersion } from "../../../../src/api/kinds.ts";
import { applyDefaults } from "../../../../src/api/validation/defaults.ts";
import { CollectError } from "../../../../src/collect/collect-error.ts";
import { ExternalPods } from "../../../../src/controllers/pods/external-pods.ts";
import { ExternalTraffic, type ExternalTrafficOptions } from "../../../../src/controllers/pods/external-traffic.ts";
import type { Pod } from "../../../../src/controllers/pods/workload-pods.ts";
import type { TransitionPlan } from "../../../../src/pods/transition.ts";
import { pod, pods } from "../../pods/pods.ts";
import { nowMs, podOf, target } from "../objects.ts";

let clockMs: number;
let asked: { name: string; question: string; about: Record<string, unknown> }[];
let answer: (about: Record<string, unknown>) => Record<string, unknown>;
let woken: string[];
let externals: ExternalPods;
let traffic: ExternalTraffic;

beforeEach(() => {
  [clockMs, asked, woken] = [nowMs, [], []];
  const programs: ExternalTrafficOptions["programs"] = {
    ask: async ({ name }, question, about) => {
      asked.push({ name, question, about: about as Record<string, unknown> });
      return answer(about as Record<string, unknown>);
    },
    fault: ({ name }, what) => new CollectError("BadAnswer", `external program ${name} ${what}`),
  };
  const now = () => clockMs;
  externals = new ExternalPods({ programs, onAnswered: (key) => void woken.push(key), now });
  traffic = new ExternalTraffic({ programs, now });
});

const theirs = { name: "theirs" };
const profileOf = (behavior: object = {}, generation = 1): ReplicaProfile => ({
  apiVersion,
  kind: "ReplicaProfile",
  metadata: { name: "web", namespace: "store", generation },
  spec: applyDefaults(replicaProfileSpec, { scaleTargetRef: target, onlineReplicas: 0, behavior }),
});
const down = () => {
  throw new CollectError("Unreachable", "external program theirs refuses the connection");
};

describe("the order of an external program", () => {
  const three = pods("web", 3);
  const order = async (profile = profileOf(), some = three) => {
    const known = externals.order(profile, theirs, some);
    await new Promise(setImmediate);
    return known;
  };

  test("is requested in the background, and there at the next reconcile", async () => {
    answer = () => ({ order: ["web-2", "web-0"] });
    expect(await order()).toMatchObject({ isAsking: true });
    expect(woken).toEqual(["store/web"]);
    expect(await order()).toMatchObject({ answer: ["web-2", "web-0"], isAsking: false });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ question: "/order", about: { namespace: "store", workload: target } });
    expect(asked[0].about.pods).toMatchObject([{ name: "web-0", state: "Online", ready: true }, {}, {}]);
  });

  test("is requested again after half a minute, and sooner for new pods or a changed profile", async () => {
    answer = () => ({ order: [] });
    await order();
    clockMs += 2_500;
    await order();
    expect(asked).toHaveLength(1);
    await order(profileOf(), [...three, pod("web-3")]);
    expect(asked).toHaveLength(2);
    await order(profileOf({}, 2), [...three, pod("web-3")]);
    expect(asked).toHaveLength(2);
    clockMs += 2_500;
    await order(profileOf({}, 2), [...three, pod("web-3")]);
    expect(asked).toHaveLength(3);
    clockMs += 31_000;
    await order(profileOf({}, 2), [...three, pod("web-3")]);
    expect(asked).toHaveLength(4);
  });

  test.each([
    { name: "does not answer", given: down, says: "refuses the connection" },
    { name: "answers no list", given: () => ({ order: "web-1" }), says: 'without "order"' },
    { name: "answers other things than names", given: () => ({ order: [1] }), says: 'without "order"' },
  ])("is missing with a reason when the program $name; an old one is kept", async ({ given, says }) => {
    answer = given;
    await order();
    const without = await order();
    expect(without).toMatchObject({ isAsking: false, fault: expect.stringContaining(says) });
    expect(without.answer).toBeUndefined();
    answer = () => ({ order: ["web-1"] });
    clockMs += 31_000;
    await order();
    const again = await order();
    expect(again).toMatchObject({ answer: ["web-1"] });
    expect(again.fault).toBeUndefined();
    answer = given;
    clockMs += 31_000;
    await order();
    expect(await order()).toMatchObject({ answer: ["web-1"], fault: expect.stringContaining(says) });
  });
});

describe("the states of an external program", () => {
  const states = async () => {
    externals.states(profileOf(), theirs, pods("web", 2));
    await new Promise(setImmediate);
    return externals.states(profileOf(), theirs, pods("web", 2));
  };

  test("are requested with the wanted numbers", async () => {
    answer = () => ({ states: { "web-0": "Standby", "web-1": "Online" } });
    const { answer: told } = await states();
    expect([...told!]).toEqual([
      ["web-0", "Standby"],
      ["web-1", "Online"],
    ]);
    expect(asked[0]).toMatchObject({
      question: "/states",
      about: { wanted: { online: 0, cutoff: 0, standby: 0 }, pods: [{ name: "web-0", mayStandBy: true }, {}] },
    });
  });

  test.each([{ states: { "web-0": "Deleted" } }, { states: ["Online"] }, { states: null }, {}])(
    "are none where an answer can't be read: %j",
    async (given) => {
      answer = () => given;
      const known = await states();
      expect(known.answer).toBeUndefined();
      expect(known.fault).toContain('without "states"');
    },
  );
});

describe("traffic by an external program", () => {
  const profile = profileOf({
    podTrafficController: { type: "External", external: { ...theirs, config: { pool: "a" } } },
  });
  const readyPod = (name: string, more: { takenBy?: string } = {}): Pod => {
    const each = podOf(name, 600);
    return {
      ...each,
      metadata: {
        ...each.metadata,
        ...(more.takenBy && { annotations: { "forescale.io/traffic-controller": more.takenBy } }),
      },
      status: {
        ...each.status,
        podIP: "10.0.0.7",
        conditions: [...each.status!.conditions!, { type: "ContainersReady", status: "True" }],
      },
    };
  };
  const planOf = (gates: TransitionPlan["gates"]): TransitionPlan => ({
    transitions: gates.map(({ pod: name, online }) => ({
      pod: name,
      from: online ? "Cutoff" : "Online",
      to: online ? "Online" : "Cutoff",
      reason: online ? "OnlineWanted" : "SurplusOnline",
    })),
    deletionCosts: gates.map(({ pod: name, online }) => ({ pod: name, cost: online ? undefined : -1000 })),
    gates,
    replicas: gates.length,
  });
  const carryOut = (plan: TransitionPlan, some: readonly Pod[], by = profile) =>
    traffic.carryOut(plan, new Map(some.map((each) => [each.metadata.name, each])), by);
  const both = [
    { pod: "web-a", online: false },
    { pod: "web-b", online: true },
  ];

  test("changes only for pods that it confirms: the others keep state and deletion cost", async () => {
    answer = () => ({ done: ["web-b", "web-z"] });
    const { plan, fault } = await carryOut(planOf(both), [readyPod("web-a"), readyPod("web-b")]);
    expect(plan).toEqual({ ...planOf([both[1]]), replicas: 2 });
    expect(fault).toBe("theirs did not change the traffic of web-a");
    expect(asked).toMatchObject([
      {
        question: "/traffic",
        about: {
          namespace: "store",
          pods: [
            { name: "web-a", ip: "10.0.0.7", online: false },
            { name: "web-b", ip: "10.0.0.7", online: true },
          ],
        },
      },
    ]);
  });

  test("stays unchanged while it fails, and it is not called for two seconds", async () => {
    answer = down;
    const some = [readyPod("web-a"), readyPod("web-b")];
    expect(await carryOut(planOf(both), some)).toMatchObject({
      plan: { transitions: [], gates: [], deletionCosts: [] },
      fault: expect.stringContaining("refuses the connection"),
    });
    await carryOut(planOf(both), some);
    expect(asked).toHaveLength(1);
    answer = () => ({ done: ["web-a", "web-b"] });
    clockMs += 2_000;
    expect(await carryOut(planOf(both), some)).toEqual({ plan: planOf(both) });
  });

  test("comes back by the program that took the pod out, whatever the profile says now", async () => {
    answer = () => ({ done: ["web-b"] });
    const plan = planOf([both[1]]);
    expect(await carryOut(plan, [readyPod("web-b", { takenBy: "former" })], profileOf())).toEqual({ plan });
    expect(asked).toMatchObject([{ name: "former" }]);
  });

  test("is announced once a starting pod can serve; a readiness gate alone needs no program", async () => {
    answer = () => ({ done: [] });
    const { plan, fault } = await carryOut(planOf([both[1]]), [podOf("web-b", undefined)]);
    expect(plan.gates).toEqual([]);
    expect(fault).toBeUndefined();
    expect(await carryOut(planOf(both), [readyPod("web-a"), readyPod("web-b")], profileOf())).toEqual({
      plan: planOf(both),
    });
    expect(asked).toEqual([]);
  });
});
