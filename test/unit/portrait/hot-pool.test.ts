import { expect, test } from "vitest";
import { createHotPool } from "../../../src/portrait/hot-pool.ts";

const at = (time: string) => Date.parse(`2026-03-02T${time}Z`);
const window = (name: string, start: string, end: string, minReplicas: number) => ({
  name,
  start,
  end,
  minReplicas,
  timeZone: "UTC",
});

test("no pool where none is asked for", () => {
  expect(createHotPool(undefined)(at("09:00:00"))).toBe(0);
});

test("the largest open window's number, below the pool's own too; outside of windows the pool's own", () => {
  const schedule = [
    window("day", "0 8 * * *", "0 20 * * *", 5),
    window("noon", "0 12 * * *", "0 13 * * *", 9),
    window("night", "0 22 * * *", "0 23 * * *", 0),
  ];
  const pool = createHotPool({ minReplicas: 2, mode: "Image", schedule });
  expect(
    [at("07:59:59"), at("08:00:00"), at("12:30:00"), at("13:00:00"), at("20:00:00"), at("22:30:00")].map(pool),
  ).toEqual([2, 5, 9, 5, 2, 0]);
});

test("a window that can't be read is named", () => {
  const schedule = [window("day", "0 8 * *", "0 20 * * *", 5)];
  expect(() => createHotPool({ minReplicas: 2, mode: "Image", schedule })).toThrow('window "day"');
});
