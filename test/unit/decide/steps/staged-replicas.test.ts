import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GrayStrategy } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import {
  inService,
  type StagedInput,
  type StagedState,
  stageReplicas,
} from "../../../../src/decide/steps/staged-replicas.ts";

const grayStrategy: GrayStrategy = {
  grayState: "Cutoff",
  changePercent: 50,
  changeIntervalSeconds: 30,
  observationSeconds: 60,
};
type Behaviors = NonNullable<StagedInput["behavior"]>;
const direction = { disabled: false, grayStrategy };
const frozen = { scaleDown: { ...direction, grayStrategy: { ...grayStrategy, grayState: "Standby" as const } } };

/** A workload that is at each tick what was wanted at the tick before. */
function walk(ticks: readonly Partial<StagedInput>[], behavior: StagedInput["behavior"] = { scaleDown: direction }) {
  let state: StagedState | undefined;
  let there = { online: 10, cutoff: 0, standby: 0 };
  return ticks.map((tick, index) => {
    const now = {
      nowMs: index * 30_000,
      target: 10,
      observed: 0,
      present: there,
      pool: 0,
      maxReplicas: 100,
      isHeld: false,
    };
    const staged = stageReplicas(state, { ...now, behavior, ...tick });
    state = staged.state;
    there = staged.desired;
    return `${there.online}/${there.cutoff}/${there.standby}`;
  });
}

describe("changes in steps", () => {
  test("pods on their way down are cut off or frozen, as the strategy says", () => {
    const down = [{ target: 10 }, { target: 6 }, { target: 6 }, { target: 6 }, { target: 6 }];
    expect(walk(down)).toEqual(["10/0/0", "8/2/0", "6/4/0", "6/4/0", "6/0/0"]);
    expect(walk(down, frozen)).toEqual(["10/0/0", "8/0/2", "6/0/4", "6/0/4", "6/0/0"]);
  });

  test("without a strategy a fall is one step", () => {
    expect(walk([{ target: 10 }, { target: 6 }], {})).toEqual(["10/0/0", "6/0/0"]);
  });
});

describe("the hot pool", () => {
  test("is kept beside the pods in service, also while others are frozen on their way down", () => {
    expect(walk([{ pool: 2 }, { pool: 2, target: 6 }, { pool: 3, target: 8 }], frozen)).toEqual([
      "10/0/2",
      "8/0/4",
      "8/0/5",
    ]);
  });

  test("never above maxReplicas, as its pods could not serve", () => {
    expect(
      walk([
        { pool: 5, maxReplicas: 12 },
        { pool: 5, maxReplicas: 10 },
      ]),
    ).toEqual(["10/0/2", "10/0/0"]);
  });

  test("a limit that falls is kept at once, watched or not", () => {
    expect(walk([{}, { target: 6, pool: 2, maxReplicas: 9 }, { target: 6, pool: 2, maxReplicas: 7 }])).toEqual([
      "10/0/0",
      "8/1/0",
      "6/1/0",
    ]);
  });

  test("does not grow while changes wait", () => {
    expect(walk([{ pool: 1 }, { pool: 4, isHeld: true }, { pool: 0, isHeld: true }, { pool: 4 }])).toEqual([
      "10/0/1",
      "10/0/1",
      "10/0/0",
      "10/0/4",
    ]);
  });

  test("takes its part of the room of pods that are not ready", () => {
    expect(
      walk([
        { pool: 2, room: 3 },
        { pool: 2, room: 3, target: 5 },
      ]),
    ).toEqual(["10/0/2", "9/1/2"]);
  });
});

describe("checkers", () => {
  test("Pause: no step and nobody let go; a rise passes", () => {
    const paused = { target: 4, stability: "Pause" as const };
    expect(walk([{}, { target: 4 }, paused, paused, paused, { target: 12, stability: "Pause" }])).toEqual([
      "10/0/0",
      "7/3/0",
      "7/3/0",
      "7/3/0",
      "7/3/0",
      "12/0/0",
    ]);
  });

  test("Rollback: every pod out of service is back at once, the pool too, and no fewer until the checks pass", () => {
    const failing = { target: 4, pool: 2, stability: "Rollback" as const };
    const steps = walk([
      { pool: 2 },
      { target: 4, pool: 2 },
      failing,
      failing,
      { ...failing, target: 14 },
      failing,
      { target: 4, pool: 2 },
    ]);
    expect(steps).toEqual(["10/0/2", "7/3/2", "12/0/0", "12/0/0", "14/0/0", "14/0/0", "9/5/2"]);
  });

  test("Rollback before any change: pods in service stay", () => {
    expect(walk([{}, { target: 4, stability: "Rollback" }])).toEqual(["10/0/0", "10/0/0"]);
  });
});

describe("pods in service, of all that spec.replicas asks for", () => {
  const wanted = (online: number, cutoff = 0, standby = 0): StagedState => ({
    gray: { falls: [], online },
    wanted: { online, cutoff, standby },
  });

  test.each([
    { name: "nothing remembered: all but those out of service", state: undefined, out: 2, spec: 10, is: 8 },
    { name: "a step that pods have not followed yet", state: wanted(8, 2), out: 0, spec: 10, is: 8 },
    { name: "pods let go that are still there", state: wanted(8), out: 2, spec: 10, is: 8 },
    { name: "pods let go, and seen no more than spec.replicas", state: wanted(8), out: 2, spec: 8, is: 8 },
    { name: "a rise that the HPA has not followed yet", state: wanted(12), out: 0, spec: 10, is: 10 },
    { name: "replicas set by hand", state: wanted(8), out: 0, spec: 5, is: 5 },
    { name: "an HPA that keeps more", state: wanted(8), out: 0, spec: 12, is: 12 },
  ])("$name", ({ state, out, spec, is }) => {
    expect(inService(state, { online: spec - out, cutoff: out, standby: 0 }, spec)).toBe(is);
  });
});

test("whatever is wanted and whoever holds: never below what is wanted in service when that rises, never above the most, all counted", () => {
  const ticks = fc.array(
    fc.record({
      target: fc.nat(20),
      pool: fc.nat(4),
      maxReplicas: fc.integer({ min: 12, max: 30 }),
      isHeld: fc.boolean(),
      stability: fc.constantFrom(undefined, "GoOn" as const, "Pause" as const, "Rollback" as const),
    }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(ticks, fc.constantFrom<Behaviors>({ scaleDown: direction }, frozen, {}), (all, behavior) => {
      const steps = walk(
        all.map((tick) => ({ ...tick, target: Math.min(tick.target, tick.maxReplicas) })),
        behavior,
      );
      for (const [index, { target, maxReplicas, isHeld, stability }] of all.entries()) {
        const [online, cutoff, standby] = steps[index].split("/").map(Number);
        expect(online).toBeGreaterThanOrEqual(Math.min(target, maxReplicas));
        expect(online + cutoff + standby).toBeLessThanOrEqual(maxReplicas);
        if (stability === "Rollback") expect(cutoff + standby).toBe(0);
        if (behavior.scaleDown === undefined && !isHeld && stability !== "Pause" && stability !== "Rollback")
          expect(online).toBe(Math.min(target, maxReplicas));
      }
    }),
  );
});
