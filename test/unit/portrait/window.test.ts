import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TimeWindow } from "../../../src/api/fields/windows.ts";
import { readWindow } from "../../../src/portrait/window.ts";

const window = (fields: Partial<TimeWindow>): TimeWindow => ({ name: "peak", timeZone: "UTC", ...fields });
const at = (text: string) => Date.parse(text);

describe("when a window is open", () => {
  const office = window({ start: "0 9 * * MON-FRI", end: "0 17 * * MON-FRI" });
  const berlin = { ...office, timeZone: "Europe/Berlin" };
  const night = window({ start: "0 22 * * *", end: "0 6 * * *" });
  const launch = window({ from: "2025-11-10", until: "2025-11-11", timeZone: "America/New_York" });
  const launchEvening = window({ from: "2025-11-10T20:00", until: "2025-11-10T22:30", timeZone: "Asia/Tokyo" });
  const holidays = { ...office, excludeDates: ["2025-12-25", "01-01", "* * * 5 *"] };
  const advent = { ...office, from: "2025-12-01", until: "2025-12-24" };
  test.each([
    { name: "its first moment is inside", of: office, when: "2025-11-24T09:00:00Z", open: true },
    { name: "its end is outside", of: office, when: "2025-11-24T17:00:00Z", open: false },
    { name: "the second before its end is inside", of: office, when: "2025-11-24T16:59:59Z", open: true },
    { name: "a Saturday is outside", of: office, when: "2025-11-22T12:00:00Z", open: false },
    {
      name: "the zone counts: 08:30 UTC is 09:30 in Berlin's winter",
      of: berlin,
      when: "2025-11-24T08:30:00Z",
      open: true,
    },
    {
      name: "the zone counts: 15:30 UTC is 17:30 in Berlin's summer",
      of: berlin,
      when: "2025-07-21T15:30:00Z",
      open: false,
    },
    { name: "a night reaches over midnight", of: night, when: "2025-11-24T02:00:00Z", open: true },
    { name: "a night is closed by day", of: night, when: "2025-11-24T12:00:00Z", open: false },
    { name: "a date alone begins at local midnight", of: launch, when: "2025-11-10T04:59:00Z", open: false },
    { name: "a date alone includes its whole local day", of: launch, when: "2025-11-12T04:59:00Z", open: true },
    { name: "and ends with it", of: launch, when: "2025-11-12T05:00:00Z", open: false },
    { name: "date and time are local", of: launchEvening, when: "2025-11-10T11:00:00Z", open: true },
    { name: "the end is exclusive", of: launchEvening, when: "2025-11-10T13:30:00Z", open: false },
    { name: "an excluded date is closed", of: holidays, when: "2025-12-25T12:00:00Z", open: false },
    { name: "the day after it is open again", of: holidays, when: "2025-12-26T12:00:00Z", open: true },
    { name: "a yearly date is closed each year", of: holidays, when: "2027-01-01T12:00:00Z", open: false },
    { name: "a cron of days closes all of them", of: holidays, when: "2026-05-13T12:00:00Z", open: false },
    { name: "dates bound the days of a cron", of: advent, when: "2025-11-28T12:00:00Z", open: false },
    { name: "within the dates the cron holds", of: advent, when: "2025-12-24T12:00:00Z", open: true },
    { name: "after the dates it is over", of: advent, when: "2025-12-26T12:00:00Z", open: false },
  ])("$name", ({ of, when, open }) => {
    expect(readWindow(of).isOpen(at(when))).toBe(open);
  });
});

describe("days on which clocks change", () => {
  const early = window({ start: "30 2 * * *", end: "0 4 * * *", timeZone: "Europe/Berlin" });
  test.each([
    { name: "the day before the spring change: 02:30 is 01:30 UTC", when: "2025-03-29T01:30:00Z", open: true },
    {
      name: "02:30 does not exist: the window opens when the clock jumps",
      when: "2025-03-30T01:00:00Z",
      before: false,
    },
    { name: "04:00 summer time ends it", when: "2025-03-30T02:00:00Z", open: false },
    { name: "02:30 comes twice: the first opens", when: "2025-10-26T00:30:00Z", open: true },
    { name: "and it stays open through the second", when: "2025-10-26T01:30:00Z", open: true },
    { name: "until 04:00 winter time", when: "2025-10-26T03:00:00Z", open: false },
  ])("$name", ({ when, open, before }) => {
    if (open !== undefined) expect(readWindow(early).isOpen(at(when))).toBe(open);
    else expect(readWindow(early).isOpen(at(when) - 1)).toBe(before);
  });

  test("a window by day lasts as long on every day of the year", () => {
    const office = readWindow(window({ start: "0 8 * * *", end: "0 17 * * *", timeZone: "America/Sao_Paulo" }));
    for (let day = 0; day < 365; day++) {
      const opens = office.nextChange(at("2025-01-01T04:00:00Z") + day * 86_400_000)!;
      expect(office.nextChange(opens)! - opens).toBe(9 * 3_600_000);
    }
  });
});

test("the next change is the first moment with another answer", () => {
  const of = readWindow(window({ start: "0 9 * * *", end: "30 10 * * *", excludeDates: ["2025-11-23"] }));
  fc.assert(
    fc.property(
      fc.integer({ min: at("2025-11-20T00:00:00Z") / 60_000, max: at("2025-11-27T00:00:00Z") / 60_000 }),
      (minute) => {
        const now = minute * 60_000;
        const change = of.nextChange(now)!;
        expect(of.isOpen(change)).toBe(!of.isOpen(now));
        expect(of.isOpen(change - 1)).toBe(of.isOpen(now));
      },
    ),
  );
});

test("a window that is over never changes again", () => {
  expect(
    readWindow(window({ from: "2025-01-01", until: "2025-01-02" })).nextChange(at("2025-06-01T00:00:00Z")),
  ).toBeUndefined();
});

test.each([
  {
    name: "an unknown zone",
    of: window({ start: "0 9 * * *", end: "0 10 * * *", timeZone: "Mars/Olympus" }),
    says: /window "peak".*Mars\/Olympus/,
  },
  {
    name: "a cron of six fields",
    of: window({ start: "0 0 9 * * *", end: "0 10 * * *" }),
    says: /window "peak", start/,
  },
  { name: "a day that does not exist", of: window({ from: "2025-13-40" }), says: /2025-13-40/ },
])("$name is refused by name", ({ of, says }) => {
  expect(() => readWindow(of).isOpen(0)).toThrow(says);
});
