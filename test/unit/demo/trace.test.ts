import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../../src/cli/demo.ts";
import { historyEndMs, layTrace, objectName, trailingMean } from "../../../src/demo/trace.ts";

const startMs = Date.UTC(2025, 0, 1);
const minuteMs = 60_000;
const dayMs = 1440 * minuteMs;

/** Rows every five minutes. */
function rows(count: number, value = (k: number) => String(100 + (k % 50)), stepMs = 5 * minuteMs): string[] {
  return Array.from({ length: count }, (_, k) => `${new Date(startMs + k * stepMs).toISOString()},${value(k)}`);
}

const file = (lines: readonly string[], header = "timestamp,load") => `${[header, ...lines].join("\n")}\n`;
const threeDays = rows(3 * 288);
const swapped = threeDays.with(5, threeDays[6]).with(6, threeDays[5]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "forescale-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(path: string): Promise<number> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: new PassThrough(), stdout, stderr, signal: AbortSignal.timeout(50), cwd: folder };
  return command.run({ trace: path, speed: "600", port: "0", quantile: "95", output: "json" }, [], io);
}

describe("a bad trace file gets one sentence that names the file and what is wrong", () => {
  test.each([
    { name: "a day only", text: file(rows(288)), says: /1 day of load is too little.*at least 2 days/ },
    { name: "no row at all", text: file([]), says: /0 hours of load is too little/ },
    { name: "nothing in it", text: "", says: /line 1: the header begins with "".*write timestamp,NAME/ },
    { name: "no header", text: file(threeDays.slice(1), threeDays[0]), says: /line 1: the header begins with "2025/ },
    { name: "no column", text: file(["2025-01-01T00:00:00Z"], "timestamp"), says: /no column beside timestamp/ },
    {
      name: "text for a value",
      text: file([...threeDays, "2025-01-04T00:00:00Z,many"]),
      says: /line 866: load is "many"/,
    },
    {
      name: "negative values, more than strays",
      text: file(rows(864, (k) => (k > 0 && k % 7 === 0 ? "-1" : "2"))),
      says: /line 9: load is "?-1"?, and 122 more are negative/,
    },
    { name: "rows out of order", text: file(swapped), says: /line 8 goes back in time.*sort/ },
    { name: "a stamp twice", text: file(threeDays.with(6, threeDays[5])), says: /line 8 repeats the timestamp/ },
    { name: "a stamp that is none", text: file(["yesterday,1"]), says: /line 2: "yesterday" is no timestamp/ },
    { name: "a row a day", text: file(rows(60, () => "5", dayMs)), says: /24 h apart.*at least every hour/ },
    { name: "zeros only", text: file(rows(864, () => "0")), says: /every value is 0/ },
    { name: "escape codes", text: file(["2025-01-01T00:00:00Z,\x1b[31mred"]), says: /"\\u\{1b\}\[31mred"/ },
    {
      name: "bursts of rows",
      text: file(threeDays.flatMap((row, k) => (k % 40 < 3 ? [row] : []))),
      says: /only \d+ of \d+ steps of 300 s have a value.*resample/,
    },
  ])("$name", async ({ text, says }) => {
    writeFileSync(join(folder, "bad.csv"), text);
    const error = await run("bad.csv").then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error?.message).toMatch(says);
    expect(error?.message).toMatch(/^the trace bad\.csv: [^\n]+$/);
  });

  test("a file that is not there", async () => {
    await expect(run("none.csv")).rejects.toThrow(/^the trace none\.csv can't be read: there is no such file/);
  });
});

test("rows that jitter around their steps are laid on a regular grid, and none is lost", () => {
  const stamps = Float64Array.from({ length: 4000 }, (_, k) => startMs + k * minuteMs + (k % 5) * 3000);
  const series = layTrace({ stamps, values: stamps.map((_, k) => k) }, minuteMs);
  expect(series.values).toEqual(Float64Array.from({ length: 4000 }, (_, k) => k));
});

test("steps without a row stay missing, and rows that share a step are averaged", () => {
  const stamps = Float64Array.from({ length: 4000 }, (_, k) => startMs + (k < 10 ? k : k + 3) * minuteMs);
  stamps[1] = stamps[0] + 0.4 * minuteMs;
  const { values } = layTrace({ stamps, values: stamps.map((_, k) => k) }, minuteMs);
  expect([...values.subarray(0, 3)]).toEqual([0.5, Number.NaN, 2]);
  expect([...values.subarray(9, 14)]).toEqual([9, Number.NaN, Number.NaN, Number.NaN, 10]);
});

test.each([
  { days: 2, history: 1.2 },
  { days: 7, history: 4.2 },
  { days: 9, history: 7 },
  { days: 30, history: 18 },
])("of $days days $history are history", ({ days, history }) => {
  const series = { startMs, stepMs: minuteMs, values: new Float64Array(days * 1440) };
  expect((historyEndMs(series) - startMs) / dayMs).toBeCloseTo(history, 2);
});

test("a rate over five minutes looks back only", () => {
  const series = { startMs, stepMs: minuteMs, values: Float64Array.of(0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0) };
  expect([...trailingMean(series, 5 * minuteMs).values]).toEqual([0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 0]);
});

test.each([
  ["requests", "requests"],
  ["My Requests/s", "my-requests-s"],
  ["2xx", "load-2xx"],
  ["Größe", "gr-e"],
  ["量", "load"],
])("column %s becomes the name %s", (column, name) => expect(objectName(column)).toBe(name));
