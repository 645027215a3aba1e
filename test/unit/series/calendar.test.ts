import { expect, test } from "vitest";
import { calendarOf, isTimeZone, utcOffsetMs } from "../../../src/series/calendar.ts";

const hour = 3_600_000;

test.each([
  { zone: "UTC", at: "2025-07-01T12:00:00Z", hours: 0 },
  { zone: "Europe/Berlin", at: "2025-01-15T12:00:00Z", hours: 1 },
  { zone: "Europe/Berlin", at: "2025-07-15T12:00:00Z", hours: 2 },
  { zone: "America/New_York", at: "2025-11-02T05:59:59Z", hours: -4 },
  { zone: "America/New_York", at: "2025-11-02T06:00:00Z", hours: -5 },
  { zone: "Asia/Kathmandu", at: "2025-01-01T00:00:00Z", hours: 5.75 },
  { zone: "Pacific/Apia", at: "2025-01-01T00:00:00Z", hours: 13 },
  { zone: "Europe/Berlin", at: "1969-12-31T23:30:00Z", hours: 1 },
])("$zone is $hours h from UTC at $at", ({ zone, at, hours }) => {
  expect(utcOffsetMs(Date.parse(at), zone)).toBe(hours * hour);
});

test("days of the week are local ones, Monday first", () => {
  const start = Date.parse("2025-03-03T10:00:00Z"); // a Monday; 23:00 in Auckland
  const calendar = calendarOf(start, hour, 3, "Pacific/Auckland");
  expect([...calendar.dayOfWeek]).toEqual([0, 1, 1]);
  expect([...calendarOf(start, hour, 3, "UTC").dayOfWeek]).toEqual([0, 0, 0]);
});

test("the offset jumps at the very step where daylight saving begins and ends", () => {
  const spring = calendarOf(Date.parse("2025-03-29T12:00:00Z"), hour, 48, "Europe/Berlin");
  expect(spring.offsetSteps.indexOf(2)).toBe(13); // 2025-03-30T01:00Z
  const autumn = calendarOf(Date.parse("2025-10-25T12:00:00Z"), hour, 48, "Europe/Berlin");
  expect(autumn.offsetSteps.indexOf(1)).toBe(13); // 2025-10-26T01:00Z
});

test("a year by the half hour agrees with Intl at every step", () => {
  const start = Date.parse("2025-01-01T00:00:00Z");
  const { dayOfWeek } = calendarOf(start, hour / 2, 17_520, "America/Santiago");
  const name = new Intl.DateTimeFormat("en-US", { timeZone: "America/Santiago", weekday: "short" });
  const names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const wrong = Array.from(dayOfWeek).findIndex((day, i) => names[day] !== name.format(start + (i * hour) / 2));
  expect(wrong).toBe(-1);
});

test("an unknown zone is refused", () => {
  expect(isTimeZone("Europe/Berlin")).toBe(true);
  expect(isTimeZone("Mars/Olympus")).toBe(false);
  expect(isTimeZone("")).toBe(false);
  expect(() => calendarOf(0, hour, 1, "Mars/Olympus")).toThrow(RangeError);
});
