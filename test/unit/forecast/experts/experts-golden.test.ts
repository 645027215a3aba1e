import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { analogs, analogsByClock } from "../../../../src/forecast/experts/analog-experts.ts";
import type { ExpertInput } from "../../../../src/forecast/experts/expert.ts";
import { driftingLevel, profileAndLevel } from "../../../../src/forecast/experts/profile-experts.ts";
import { shortPeriod } from "../../../../src/forecast/experts/short-period-expert.ts";
import { timeOfDay } from "../../../../src/forecast/experts/time-of-day-expert.ts";
import { gridLevels } from "../../../../src/forecast/quantiles/quantile-grid.ts";
import { calendarOf } from "../../../../src/series/calendar.ts";
import { signedRoots } from "../../../../src/series/transforms/square-root.ts";

interface Golden {
  readonly levels: readonly number[];
  readonly cases: readonly {
    readonly name: string;
    readonly start: string;
    readonly stepSeconds: number;
    readonly horizon: number;
    readonly values: readonly (number | null)[];
    readonly experts: Readonly<Record<string, readonly (readonly number[])[]>>;
  }[];
}

// Made by an independent implementation of the same recipe; the file's header says how.
const golden: Golden = JSON.parse(readFileSync(new URL("../../../golden/forecast.json", import.meta.url), "utf8"));
const experts = [timeOfDay, profileAndLevel, driftingLevel, shortPeriod, analogs, analogsByClock];

describe.each(golden.cases)("$name", ({ start, stepSeconds, horizon, values, experts: wanted }) => {
  const raw = Float64Array.from(values, (value) => value ?? Number.NaN);
  const stepMs = stepSeconds * 1000;
  const stepsPerDay = 86_400 / stepSeconds;
  const past: ExpertInput = {
    raw,
    rooted: signedRoots(raw),
    leads: Int32Array.from({ length: horizon }, (_, lead) => lead),
    horizon,
    stepsPerDay,
    dayLags: Int32Array.from({ length: raw.length / stepsPerDay + 2 }, (_, d) => d * stepsPerDay),
    stepMinutes: stepSeconds / 60,
    calendar: calendarOf(Date.parse(start), stepMs, raw.length + horizon, "UTC"),
  };

  test.each(experts)("$name gives the same quantiles", (expert) => {
    const got = expert.forecast(past)!;
    golden.levels.forEach((level, q) => {
      const at = gridLevels.indexOf(level) * horizon;
      wanted[expert.name][q].forEach((value, j) => {
        // The file has 6 significant digits: half a unit of the last is 5e-6 of the value. Experts run before the clip at 0.
        expect(Math.abs(Math.max(0, got[at + j]) - value)).toBeLessThan(6e-6 * Math.abs(value) + 1e-9);
      });
    });
  });
});
