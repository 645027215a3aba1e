import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runPolicy, scoreSizes } from "../../../../src/backtest/replay/cluster.ts";
import { fixedAtPeak, hourlySchedule, plainHpa, tuneHpa } from "../../../../src/backtest/replay/plain-policies.ts";
import { type ReplayInputs, replayInputsOf } from "../../../../src/backtest/replay/replay-inputs.ts";
import { cheapest, tuneTarget } from "../../../../src/backtest/replay/tune-target.ts";
import { spanOf } from "../../../../src/backtest/workload.ts";
import { wavyLoad, workloadOf } from "../loads.ts";

const hourMs = 3_600_000;

function sceneWith(startupSeconds: number, load = wavyLoad(3), replayMs = 6 * hourMs, spec = {}): ReplayInputs {
  const workload = workloadOf(load, 50, spec);
  return replayInputsOf(workload, spanOf(workload, { replayMs }), { startupSeconds });
}

const noise = fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { minLength: 5, maxLength: 40 });
const startups = fc.constantFrom(0, 15, 60, 100, 180);

/** A load that nobody could foresee. */
const rough = (parts: readonly number[]) => wavyLoad(3, 300_000, (day) => parts[Math.floor(day * 288) % parts.length]);

describe("the oracle", () => {
  test("is never short, whatever the load and the start-up time", () => {
    fc.assert(
      fc.property(noise, startups, (parts, startupSeconds) => {
        const inputs = sceneWith(startupSeconds, rough(parts));
        // Asked for at the sync before, its pods are up in time in a real deployment.
        const run = runPolicy(inputs, ({ tick }) => Math.max(inputs.oracle[tick], inputs.oracle[tick + 1] ?? 1));
        expect(run).toMatchObject({ underProvisionedMinutes: 0, unserved: 0 });
      }),
      { numRuns: 25 },
    );
  });

  test("costs least among the policies that are never short: at every tick, whoever has fewer is short soon", () => {
    const wishes = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 3, maxLength: 30 });
    fc.assert(
      fc.property(noise, startups, wishes, (parts, startupSeconds, extra) => {
        const inputs = sceneWith(startupSeconds, rough(parts));
        const oracle = scoreSizes(inputs, (tick) => inputs.oracle[tick]);
        const reach = Math.ceil((startupSeconds * 1000) / 15_000) + 2;
        // Any size at least as large as is needed soon, and often larger.
        const run = runPolicy(inputs, ({ tick }) => {
          let most = 1;
          for (let k = tick; k <= Math.min(inputs.ticks - 1, tick + reach); k++)
            most = Math.max(most, Math.ceil(inputs.needed[k]));
          return most + extra[tick % extra.length];
        });
        fc.pre(run.underProvisionedMinutes === 0);
        expect(run.podHours).toBeGreaterThanOrEqual(oracle.podHours - 1e-9);
      }),
      { numRuns: 40 },
    );
  });

  test("and any plain HPA with fewer pod-hours is short", () => {
    for (const startupSeconds of [0, 60, 180]) {
      const inputs = sceneWith(startupSeconds, wavyLoad(4), 24 * hourMs);
      const oracle = scoreSizes(inputs, (tick) => inputs.oracle[tick]);
      for (const { run } of tuneHpa(inputs, 0).tried)
        if (run.podHours < oracle.podHours) expect(run.underProvisionedMinutes).toBeGreaterThan(0);
    }
  });

  test("keeps to minReplicas, as everybody must", () => {
    expect(Math.min(...sceneWith(60, undefined, undefined, { minReplicas: 7 }).oracle)).toBe(7);
  });
});

describe("the plain HPA", () => {
  test("stays between its limits", () => {
    const inputs = sceneWith(60, wavyLoad(3), 24 * hourMs, { minReplicas: 6, maxReplicas: 15 });
    const { pods } = runPolicy(inputs, plainHpa(inputs, 0.7));
    // It begins where everybody begins: at what the first minutes need.
    const after = pods.subarray(2);
    expect([Math.min(...after), Math.max(...after)]).toEqual([6, 15]);
  });

  test("at a lower target costs more and lacks pods for less time, on a load without noise", () => {
    const inputs = sceneWith(60, wavyLoad(4), 24 * hourMs);
    const tried = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1].map((target) => ({
      run: runPolicy(inputs, plainHpa(inputs, target)),
    }));
    for (let k = 1; k < tried.length; k++) {
      expect(tried[k].run.podHours).toBeLessThan(tried[k - 1].run.podHours);
      expect(tried[k].run.underProvisionedMinutes).toBeGreaterThanOrEqual(tried[k - 1].run.underProvisionedMinutes);
    }
  });

  test("keeps its size while the load is missing", () => {
    const load = wavyLoad(3);
    load.values.fill(Number.NaN, load.values.length - 36, load.values.length - 12); // two hours of the replay
    const inputs = sceneWith(60, load);
    const { pods } = runPolicy(inputs, plainHpa(inputs, 0.7));
    const gap = pods.subarray(inputs.ticks - 36 * 20 + 60, inputs.ticks - 12 * 20 - 60);
    expect(new Set(gap).size).toBe(1);
    // Load went on all the same, though nobody measured it.
    const needed = inputs.needed.subarray(inputs.ticks - 36 * 20, inputs.ticks - 12 * 20);
    expect(needed.every((pods) => pods > 0)).toBe(true);
  });
});

describe("tuning in hindsight", () => {
  const run = (podHours: number, underProvisionedMinutes: number) => ({
    podHours,
    underProvisionedMinutes,
    unserved: 0,
    actions: 0,
    standbyPodHours: 0,
    pods: new Int32Array(0),
  });
  const tried = [
    { target: 0.5, run: run(140, 0) },
    { target: 0.6, run: run(120, 5) },
    { target: 0.7, run: run(100, 20) },
  ];
  test.each([
    { minutes: 30, target: 0.7, isAsGood: true },
    { minutes: 20, target: 0.7, isAsGood: true },
    { minutes: 10, target: 0.6, isAsGood: true },
    { minutes: 0, target: 0.5, isAsGood: true },
  ])("within $minutes minutes the cheapest is $target", ({ minutes, ...said }) => {
    expect(cheapest(tried, minutes)).toMatchObject(said);
  });

  test("where none is as good, the best is said to be none", () => {
    expect(cheapest(tried.slice(1), 1)).toMatchObject({ target: 0.6, isAsGood: false });
  });

  test.each([
    { name: "between two coarse steps", best: 0.7375 },
    { name: "at a coarse step", best: 0.65 },
    { name: "below the usual targets", best: 0.2325 },
    { name: "above the usual targets", best: 1.84 },
  ])("finds the best target to a quarter of a percent, $name, in few replays", ({ best }) => {
    // Pods are in inverse proportion to the target; above the best one they are too few.
    const found = tuneTarget((target) => run(100 / target, target > best + 1e-9 ? 1e4 * (target - best) : 5), 5);
    expect(found.target).toBeCloseTo(best, 9);
    expect(found.isAsGood).toBe(true);
    expect(found.tried.length).toBeLessThan(50);
    expect(found.tried.map(({ target }) => target)).toEqual(found.tried.map(({ target }) => target).toSorted());
  });

  test("never takes a target that lacks pods longer, nor a dearer one than another that it tried", () => {
    const inputs = sceneWith(60, wavyLoad(4), 12 * hourMs);
    for (const minutes of [0, 3, 15, 60]) {
      const { run: chosen, isAsGood, tried } = tuneHpa(inputs, minutes);
      expect(chosen.underProvisionedMinutes <= minutes).toBe(isAsGood);
      for (const { run: other } of tried)
        if (other.underProvisionedMinutes <= minutes) expect(chosen.podHours).toBeLessThanOrEqual(other.podHours);
    }
  });
});

test("the schedule is each hour's mean of the past, in the users' time zone, and begins ahead of the hour", () => {
  const load = wavyLoad(4);
  const values = load.values.map((_, i) => (Math.floor(i / 12) % 24 === 9 ? 500 : 100)); // 09:00 to 10:00 UTC
  const workload = workloadOf({ ...load, values }, 50);
  const inputs = replayInputsOf(workload, spanOf(workload, { replayMs: 24 * hourMs }), { startupSeconds: 60 });
  const at = (schedule: Float64Array, hours: number) => schedule[Math.round(hours * 240)];
  const utc = hourlySchedule(inputs, "UTC");
  expect([8.9, 8.99, 9.5, 9.9, 10.1].map((hours) => at(utc, hours))).toEqual([2, 10, 10, 10, 2]);
  // The hours are the users', the demand is the same: a zone of whole hours changes nothing of it.
  expect(hourlySchedule(inputs, "Asia/Tokyo")).toEqual(utc);
});

test("the fixed size is the peak of what was learnt, not of what came later", () => {
  const load = wavyLoad(3);
  load.values[load.values.length - 5] = 1e6;
  const inputs = sceneWith(60, load);
  const learnt = load.values.slice(0, load.values.length - 72);
  expect(fixedAtPeak(inputs).pods[0]).toBe(Math.ceil(Math.max(...learnt) / 50));
});
