import { describe, expect, test } from "vitest";
import type {
  GrayStrategy,
  IntelligentHorizontalPodAutoscalerSpec,
} from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ScalingConstraints } from "../../../../src/decide/decision.ts";
import { createRecommender } from "../../../../src/decide/recommender.ts";
import { nowMs, specOf } from "../workload.ts";

type Spec = IntelligentHorizontalPodAutoscalerSpec;
const quarter: GrayStrategy = {
  grayState: "Online",
  changePercent: 25,
  changeIntervalSeconds: 15,
  observationSeconds: 30,
};
const up = { disabled: false, grayStrategy: quarter };
const down = {
  disabled: false,
  stabilizationWindowSeconds: 0,
  grayStrategy: { ...quarter, grayState: "Cutoff" as const },
};
const none = new Map<string, number>();

interface Tick extends ScalingConstraints {
  readonly load?: number | null;
  readonly proposed?: number;
  /** Whether the HPA and the pods follow before the next tick. */
  readonly follows?: boolean;
}

/** A workload whose pods follow each answer, unless a tick says otherwise; `proposals` stand for somebody outside. */
function play(spec: Spec, ticks: readonly Tick[], online = 2) {
  const recommender = createRecommender(spec);
  let there = { online, cutoff: 0, standby: 0 };
  return ticks.map(({ load, proposed, follows = true, ...constraints }, index) => {
    const decision = recommender.decide(
      {
        timeMs: nowMs + index * 15_000,
        loads: load === undefined ? none : new Map([["load", load]]),
        replicas: { ...there, starting: 0 },
        specReplicas: there.online + there.cutoff + there.standby,
        proposals: proposed === undefined ? [] : [{ provider: "outside", priority: 0, replicas: proposed }],
      },
      constraints,
    );
    if (follows && decision.desired) there = decision.desired;
    return decision;
  });
}

const sizes = (decisions: ReturnType<typeof play>) =>
  decisions.map(({ desired }) => `${desired?.online}/${desired?.cutoff}/${desired?.standby}`);

/** A spec that somebody outside proposes for. */
const foreign = (more: Parameters<typeof specOf>[0]) => specOf({ portraitProviders: [], metrics: undefined, ...more });
const times = (count: number, tick: Tick) => Array<Tick>(count).fill(tick);

test("a target beyond the maximum rises by steps to the maximum, not past a step: the numbers that steps rest on are within limits", () => {
  // With Kapacity the second step jumps to the end: it compares the unlimited number with the limited one.
  const played = play(foreign({ maxReplicas: 10, behavior: { scaleUp: up } }), times(5, { proposed: 15 }));
  expect(sizes(played)).toEqual(["4/0/0", "6/0/0", "8/0/0", "10/0/0", "10/0/0"]);
  expect(played[0].total).toBe(4);
});

test("steps go on though another provider proposes the same number, or the proposal's end moves", () => {
  // With Kapacity any such difference begins anew, and a proposal without an end skips all later steps.
  const spec = foreign({ behavior: { scaleUp: up } });
  const recommender = createRecommender(spec);
  let online = 2;
  const seen = Array.from({ length: 4 }, (_, index) => {
    const timeMs = nowMs + index * 15_000;
    const proposals = [
      { provider: `p${index}`, priority: 0, replicas: 10, ...(index % 2 && { expireMs: timeMs + 60_000 }) },
    ];
    const replicas = { online, cutoff: 0, standby: 0, starting: 0 };
    ({ online } = recommender.decide({ timeMs, loads: none, replicas, proposals }).desired!);
    return online;
  });
  expect(seen).toEqual([4, 6, 8, 10]);
});

test("a fall: cut off by steps, watched, let go; the total is what the HPA reads", () => {
  const played = play(
    foreign({ behavior: { scaleDown: down } }),
    [...times(1, { proposed: 10 }), ...times(8, { proposed: 2 })],
    10,
  );
  expect(sizes(played)).toEqual(["10/0/0", "8/2/0", "6/4/0", "4/6/0", "2/8/0", "2/8/0", "2/0/0", "2/0/0", "2/0/0"]);
  expect(played.map(({ total }) => total)).toEqual([10, 10, 10, 10, 10, 10, 2, 2, 2]);
  expect(played[1].change).toMatchObject({ direction: "Down", from: 10, to: 2, percent: 25 });
});

test("no step of a rise stays below what is observed", () => {
  const spec = specOf({
    behavior: { scaleUp: up },
    portraitProviders: [{ type: "Dynamic", priority: 0, dynamic: { portraitType: "Reactive" } }],
  });
  const [first] = play(spec, [{ load: 8.5 }]);
  expect(first.observed).toBe(9);
  expect(first.desired!.online).toBeGreaterThanOrEqual(9);
});

describe("what is held holds the pods in service, not those out of service", () => {
  test("nothing known: the pool is not added again and again", () => {
    const played = play(specOf({ standby: { minReplicas: 3, mode: "Image" } }), times(20, { load: null }), 5);
    expect(new Set(played.slice(1).map(({ total }) => total))).toEqual(new Set([played[0].total]));
  });

  test("an HPA that lags behind: a fall is not counted twice, nor taken back", () => {
    const follows = [true, false, false, true, true, true, true, true, true];
    const ticks = follows.map((each, index) => ({ proposed: index === 0 ? 10 : 2, follows: each }));
    const played = play(foreign({ behavior: { scaleDown: down } }), ticks, 10);
    const online = played.map(({ desired }) => desired!.online);
    expect(online).toEqual(online.toSorted((a, b) => b - a));
    expect(played.at(-1)!.total).toBe(2);
  });

  test("paused: as wanted last", () => {
    const spec = foreign({ behavior: { scaleDown: down } });
    const paused = createRecommender({ ...spec, paused: true });
    const replicas = { online: 6, cutoff: 3, standby: 1, starting: 0 };
    const decision = paused.decide({ timeMs: nowMs, loads: none, replicas });
    expect(decision).toMatchObject({ desired: { online: 6, cutoff: 3, standby: 1 }, total: 10, reason: "Paused" });
  });
});

test("a rollout under way: no step, no pod let go", () => {
  const ticks = [{ proposed: 10 }, { proposed: 2 }, ...times(5, { proposed: 2, rolloutRunning: true })];
  expect(new Set(sizes(play(foreign({ behavior: { scaleDown: down } }), ticks, 10)).slice(1))).toEqual(
    new Set(["8/2/0"]),
  );
});

test("a failed check with Rollback: all back in service, and the sentence says who said so", () => {
  const stability = {
    action: "Rollback",
    reason: "CheckFailed",
    message: "errors rise",
    state: { trips: [] },
  } as const;
  const played = play(
    foreign({ behavior: { scaleDown: down } }),
    [{ proposed: 10 }, { proposed: 2 }, { proposed: 2, stability }],
    10,
  );
  expect(sizes(played)).toEqual(["10/0/0", "8/2/0", "10/0/0"]);
  expect(played[2].message).toContain("rolled back to 10: errors rise");
});

test("Preview shows the number at the end: nothing follows its steps", () => {
  const played = play(
    foreign({ scaleMode: "Preview", behavior: { scaleDown: down } }),
    [...times(6, { proposed: 2, follows: false })],
    10,
  );
  expect(played.at(-1)!.desired).toEqual({ online: 2, cutoff: 0, standby: 0 });
});

test("frozen pods that can't wake stay wanted, so that new pods are made in their stead", () => {
  const frozen = { ...quarter, grayState: "Standby" as const, changePercent: 100, observationSeconds: 600 };
  const spec = foreign({ maxReplicas: 20, behavior: { scaleDown: { ...down, grayStrategy: frozen } } });
  const played = play(spec, [{ proposed: 6 }, { proposed: 4 }, { proposed: 6, stuck: 1 }, { proposed: 6 }], 6);
  expect(sizes(played)).toEqual(["6/0/0", "4/0/2", "6/0/1", "6/0/0"]);
  expect(played[2].total).toBe(7);
});
