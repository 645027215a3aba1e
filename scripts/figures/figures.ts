import { accuracyGate } from "./accuracy-gate.ts";
import { architecture } from "./architecture.ts";
import { backtestPolicies } from "./backtest.ts";
import { burstWanted } from "./burst.ts";
import { capacityModels } from "./capacity.ts";
import { decidingMorning, decidingPrice } from "./deciding.ts";
import { decompositionParts } from "./decomposition.ts";
import { forecastCoverage, forecastDay, forecastExperts } from "./forecast.ts";
import { ladder } from "./ladder.ts";
import { namedAlgorithms } from "./named.ts";
import { periodsFound } from "./periods.ts";

/** Each figure of the docs by its file's name, with what draws it. */
export const figures: ReadonlyMap<string, () => string> = new Map([
  ["architecture", architecture],
  ["forecast-day", forecastDay],
  ["forecast-coverage", forecastCoverage],
  ["forecast-experts", forecastExperts],
  ["periods", periodsFound],
  ["decomposition", decompositionParts],
  ["capacity", capacityModels],
  ["deciding-morning", decidingMorning],
  ["deciding-price", decidingPrice],
  ["ladder", ladder],
  ["accuracy-gate", accuracyGate],
  ["burst", burstWanted],
  ["backtest", backtestPolicies],
  ["named-algorithms", namedAlgorithms],
]);
