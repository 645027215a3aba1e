import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GrayStrategy } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type GrayInput, type GrayState, stepGray } from "../../../../src/decide/steps/gray.ts";

const quarter = { changePercent: 25, changeIntervalSeconds: 30, observationSeconds: 60 };
const up: GrayStrategy = { grayState: "Online", ...quarter };
const down: GrayStrategy = { grayState: "Cutoff", ...quarter };

/** A workload that is what was asked for at the tick before. */
function walk(input: Partial<GrayInput>, targets: readonly number[], first = targets[0]) {
  let state: GrayState | undefined;
  let [online, out] = [first, 0];
  return targets.map((target, tick) => {
    const now = { nowMs: tick * 10_000, target, present: online, out, observed: 0, isHeld: false };
    const step = stepGray(state, { ...now, up, down, ...input });
    ({ online, out, state } = step);
    return { online, out, percent: step.change?.percent };
  });
}

/** The numbers as `online+out`, each change once. */
function told(steps: readonly { online: number; out: number }[]): string {
  const all = steps.map(({ online, out }) => (out > 0 ? `${online}+${out}` : `${online}`));
  return all.filter((each, index) => each !== all[index - 1]).join(" ");
}

const forTicks = (count: number, target: number) => Array<number>(count).fill(target);

describe("steps downwards", () => {
  test("as Kapacity's documentation shows: 5 to 1 by halves, then watched, then gone", () => {
    const half = { ...down, changePercent: 50 };
    const steps = walk({ down: half }, [5, ...forTicks(12, 1)]);
    expect(told(steps)).toBe("5 3+2 1+4 1");
    expect(steps.map(({ online }) => online).indexOf(3)).toBe(1); // the first at once
    expect(steps.findIndex(({ online }) => online === 1)).toBe(4); // 30 s later
    expect(steps.findIndex(({ online, out }) => online === 1 && out === 0)).toBe(10); // 60 s later
  });

  test("at least one pod a step, and not more than the whole", () => {
    expect(told(walk({}, [5, ...forTicks(12, 3)]))).toBe("5 4+1 3+2");
    expect(told(walk({ down: { ...down, changePercent: 1 } }, [3, ...forTicks(12, 2)]))).toBe("3 2+1 2");
  });

  test("grayState Deleted lets pods go in steps without watching them", () => {
    expect(told(walk({ down: { ...down, grayState: "Deleted" } }, [10, ...forTicks(12, 2)]))).toBe("10 8 6 4 2");
  });

  test("a target that moves further down mid-way goes on from the pods in service, at the next step", () => {
    // Kapacity takes the old target for the pods there are, and drops to the end at once.
    expect(told(walk({}, [10, 2, 2, ...forTicks(9, 3)]))).toBe("10 8+2 7+3 5+5 3+7");
  });

  test("a target that moves back mid-way brings back what it asks for at once, and the rest is watched on", () => {
    expect(told(walk({}, [10, 2, 2, 2, 2, 9, ...forTicks(12, 9)]))).toBe("10 8+2 6+4 9+1 9");
  });

  test("a target back at the beginning ends it: all are back", () => {
    expect(told(walk({}, [10, 2, 2, 10, 10]))).toBe("10 8+2 10");
  });

  test("a long decline lets pods go all the while: each was watched in full, none for ever", () => {
    const steps = walk({}, [20, ...Array.from({ length: 60 }, (_, tick) => 20 - Math.floor(tick / 6))]);
    expect(Math.max(...steps.map(({ out }) => out))).toBeLessThanOrEqual(3);
    expect(steps.at(-1)!.online).toBe(11);
  });

  test("a room for few: by batches, each watched before the next", () => {
    const steps = walk({ room: 2, down: { ...down, changePercent: 100 } }, [10, ...forTicks(40, 5)]);
    expect(told(steps)).toBe("10 8+2 6+2 5+1 5");
  });

  test("no room at all: in steps, unwatched", () => {
    expect(told(walk({ room: 0 }, [10, ...forTicks(14, 2)]))).toBe("10 8 6 4 2");
  });

  test("held: no step, nobody goes, and the clocks begin again afterwards", () => {
    let state: GrayState | undefined;
    const at = (second: number, isHeld: boolean) => {
      const input = { nowMs: second * 1000, target: 2, present: state?.online ?? 10, out: 0, observed: 0 };
      const step = stepGray(state, { ...input, down, isHeld });
      state = step.state;
      return [step.online, step.out];
    };
    expect(at(0, false)).toEqual([8, 2]);
    expect(at(20, true)).toEqual([8, 2]);
    expect(at(600, true)).toEqual([8, 2]);
    expect(at(620, false)).toEqual([8, 2]);
    expect(at(630, false)).toEqual([6, 4]);
  });

  test("pods found out of service after a restart are watched anew, and not taken for new ones", () => {
    const step = stepGray(undefined, { nowMs: 0, target: 6, present: 6, out: 4, observed: 0, isHeld: false, down });
    expect(step).toMatchObject({ online: 6, out: 4, change: { direction: "Down", from: 10, to: 6, percent: 100 } });
    const later = { nowMs: 60_000, target: 6, present: 6, out: 4, observed: 0, isHeld: false, down };
    expect(stepGray(step.state, later)).toMatchObject({ online: 6, out: 0 });
  });

  test("pods that were let go and are still there begin nothing", () => {
    const rest = stepGray(undefined, { nowMs: 0, target: 6, present: 6, out: 0, observed: 0, isHeld: false, down });
    const lagging = { nowMs: 15_000, target: 6, present: 6, out: 4, observed: 0, isHeld: false, down };
    expect(stepGray(rest.state, lagging)).toMatchObject({ online: 6, out: 0 });
  });
});

describe("steps upwards", () => {
  test("a quarter at a time", () => {
    expect(told(walk({}, [2, ...forTicks(12, 10)]))).toBe("2 4 6 8 10");
  });

  test("what is observed is never held back", () => {
    expect(told(walk({ observed: 7 }, [2, ...forTicks(12, 10)]))).toBe("2 7 8 10");
    expect(told(walk({ observed: 50 }, [2, ...forTicks(3, 10)]))).toBe("2 10");
  });

  test("pods that lag behind what was asked begin nothing again", () => {
    const rest = stepGray(undefined, { nowMs: 0, target: 10, present: 10, out: 0, observed: 0, isHeld: false, up });
    const lagging = { nowMs: 15_000, target: 10, present: 6, out: 0, observed: 0, isHeld: false, up };
    expect(stepGray(rest.state, lagging).online).toBe(10);
  });

  test("pods that come back are no step: the steps begin above them", () => {
    expect(told(walk({}, [10, 2, 2, 2, 2, 14, ...forTicks(12, 14)]))).toBe("10 8+2 6+4 11 12 13 14");
  });

  test("held, a rise stays where it is unless more is observed", () => {
    expect(told(walk({ isHeld: true }, [4, 8, 8, 8, 8, 8]))).toBe("4");
    expect(told(walk({ isHeld: true, observed: 6 }, [4, 8, 8, 8, 8, 8], 4))).toBe("4 6");
  });
});

test("without strategies a change happens at once", () => {
  expect(told(walk({ up: undefined, down: undefined }, [5, 9, 2, 7]))).toBe("5 9 2 7");
});

test("whatever the target does: nearer with each tick and never past it, all pods counted, at rest in the end", () => {
  const strategy = fc.record({
    changePercent: fc.integer({ min: 1, max: 100 }),
    changeIntervalSeconds: fc.integer({ min: 1, max: 60 }),
    observationSeconds: fc.nat(120),
  });
  const states = fc.constantFrom("Cutoff" as const, "Standby" as const, "Deleted" as const);
  const moves = fc.array(fc.record({ target: fc.nat(30), ticks: fc.integer({ min: 1, max: 8 }) }), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(
      strategy,
      strategy,
      states,
      moves,
      fc.option(fc.nat(10), { nil: undefined }),
      (a, b, grayState, all, room) => {
        const targets = [
          ...all.flatMap(({ target, ticks }) => forTicks(ticks, target)),
          ...forTicks(2500, all.at(-1)!.target),
        ];
        const steps = walk({ up: { grayState: "Online", ...a }, down: { grayState, ...b }, room }, targets, 10);
        let [online, out] = [10, 0];
        for (const [tick, step] of steps.slice(0, -2500).entries()) {
          const target = targets[tick];
          if (target >= online) {
            expect(step.online).toBeGreaterThanOrEqual(online);
            expect(step.online).toBeLessThanOrEqual(target);
          } else {
            expect(step.online).toBeLessThanOrEqual(online);
            expect(step.online).toBeGreaterThanOrEqual(target);
            // Who leaves service is out of service, or nobody stays there.
            if (step.out > out) expect(step.out - out).toBeLessThanOrEqual(online - step.online);
          }
          expect(step.out).toBeLessThanOrEqual(room ?? Number.POSITIVE_INFINITY);
          if (grayState === "Deleted") expect(step.out).toBe(0);
          ({ online, out } = step);
        }
        expect(steps.at(-1)).toMatchObject({ online: targets.at(-1), out: 0 });
      },
    ),
    { numRuns: 100 },
  );
});
