import { expect, test } from "vitest";
import { createSchedule, type ScheduleSpec } from "../../../src/portrait/schedule.ts";

const spec = (more: Partial<ScheduleSpec>): ScheduleSpec => ({
  minReplicas: 2,
  maxReplicas: 50,
  portraitProviders: [],
  ...more,
});
const hours = (name: string, from: number, to: number, numbers: object) => ({
  name,
  timeZone: "UTC",
  start: `0 ${from} * * *`,
  end: `0 ${to} * * *`,
  ...numbers,
});
const cron = (...crons: ReturnType<typeof hours>[]) => ({ type: "Cron" as const, priority: 3, cron: { crons } });
const at = (time: string) => Date.parse(`2025-11-24T${time}Z`);

test("the largest of overlapping windows is proposed, by name", () => {
  const schedule = createSchedule(
    spec({ portraitProviders: [cron(hours("day", 8, 20, { replicas: 10 }), hours("noon", 11, 13, { replicas: 25 }))] }),
  );
  expect(schedule(at("12:00:00")).proposals).toEqual([{ provider: "Cron", priority: 3, replicas: 25, window: "noon" }]);
  expect(schedule(at("13:00:00")).proposals).toEqual([{ provider: "Cron", priority: 3, replicas: 10, window: "day" }]);
  expect(schedule(at("20:00:00")).proposals).toEqual([]);
});

test("a Static provider always proposes", () => {
  const schedule = createSchedule(
    spec({ portraitProviders: [{ type: "Static", priority: 1, static: { replicas: 7 } }] }),
  );
  expect(schedule(0).proposals).toEqual([{ provider: "Static", priority: 1, replicas: 7 }]);
});

test.each([
  { name: "without a window the spec's own limits hold", time: "00:00:00", min: 2, max: 50 },
  { name: "the highest floor holds", time: "09:00:00", min: 12, max: 40 },
  { name: "the lowest cap holds", time: "11:00:00", min: 12, max: 30 },
  { name: "a cap comes before a floor", time: "15:00:00", min: 4, max: 4 },
])("$name", ({ time, min, max }) => {
  const schedule = createSchedule(
    spec({
      bounds: [
        hours("day", 8, 18, { minReplicas: 5, maxReplicas: 40 }),
        hours("morning", 9, 18, { minReplicas: 12, maxReplicas: 50 }),
        hours("budget", 10, 12, { maxReplicas: 30 }),
        hours("freeze", 14, 16, { maxReplicas: 4 }),
      ],
    }),
  );
  expect(schedule(at(time))).toMatchObject({ minReplicas: min, maxReplicas: max });
});

test("windows of a Cron provider may bound without proposing", () => {
  const schedule = createSchedule(spec({ portraitProviders: [cron(hours("floor", 8, 20, { minReplicas: 9 }))] }));
  expect(schedule(at("12:00:00"))).toEqual({ proposals: [], minReplicas: 9, maxReplicas: 50 });
});
