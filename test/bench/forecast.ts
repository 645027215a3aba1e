import { forecast } from "../../src/forecast/experts/expert-forecast.ts";
import type { Forecast, ForecastRequest } from "../../src/forecast/forecast.ts";
import { dailyLoad, requestOf } from "../unit/forecast/synthetic.ts";

/** How much processor time forecasts of one kind took. */
export interface ForecastRow {
  readonly name: string;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly forecastsPerSecond: number;
}

interface Case {
  readonly name: string;
  readonly stepMinutes: number;
  readonly days: number;
  readonly horizon: number;
  readonly runs: number;
  readonly keepsWeights: boolean;
}

const cases: readonly Case[] = [
  {
    name: "2,016 points at 5 min, 288 ahead, 11 levels",
    stepMinutes: 5,
    days: 7,
    horizon: 288,
    runs: 40,
    keepsWeights: false,
  },
  {
    name: "the same with the weights of an earlier run",
    stepMinutes: 5,
    days: 7,
    horizon: 288,
    runs: 40,
    keepsWeights: true,
  },
  {
    name: "10,080 points at 1 min, 1,440 ahead, 11 levels",
    stepMinutes: 1,
    days: 7,
    horizon: 1440,
    runs: 15,
    keepsWeights: false,
  },
  {
    name: "the same with the weights of an earlier run",
    stepMinutes: 1,
    days: 7,
    horizon: 1440,
    runs: 15,
    keepsWeights: true,
  },
];
const warmUps = 8; // runs until the code is compiled, as in a process that has been up for a minute

/** Times forecasts of seeded daily loads with noise, a new one for each run. */
export function benchForecasts(): ForecastRow[] {
  return cases.map(({ name, stepMinutes, days, horizon, runs, keepsWeights }) => {
    const times: number[] = [];
    for (let run = -warmUps; run < runs; run++) {
      const seed = run + warmUps + 1;
      const request = requestOf(
        dailyLoad({ days, stepMinutes, seed, noise: 0.05 + (seed % 5) / 20 }),
        stepMinutes,
        horizon,
      );
      const weights = keepsWeights ? made(request).weights : undefined;
      const before = cpuMs();
      made({ ...request, weights });
      if (run >= 0) times.push(cpuMs() - before);
    }
    times.sort((a, b) => a - b);
    const total = times.reduce((a, b) => a + b, 0);
    return { name, medianMs: times[runs >> 1], worstMs: times[runs - 1], forecastsPerSecond: (1000 * runs) / total };
  });
}

/** Processor time of this process: neighbours on a shared machine slow it less than the wall clock. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function made(request: ForecastRequest): Forecast {
  const outcome = forecast(request);
  if (outcome.kind !== "Forecast") throw new Error(`no forecast: ${outcome.kind}`);
  return outcome.forecast;
}

export default {
  name: "Forecasts on one core",
  async run(): Promise<void> {
    const lines = ["| what | median ms | worst ms | forecasts a second of one core |", "|---|---|---|---|"];
    for (const { name, medianMs, worstMs, forecastsPerSecond } of benchForecasts())
      lines.push(`| ${name} | ${medianMs.toFixed(0)} | ${worstMs.toFixed(0)} | ${forecastsPerSecond.toFixed(1)} |`);
    process.stdout.write(`${lines.join("\n")}\n`);
  },
};
