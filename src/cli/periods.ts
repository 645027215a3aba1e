import { detectPeriods } from "../forecast/periods/robust-period.ts";
import type { Command } from "./command.ts";
import { pipe } from "./pipe.ts";

/** `forescale periods`: one series a line, one answer a line. */
export const command: Command = {
  name: "periods",
  summary: "finds the periods of series read as JSON lines",
  usage: "< SERIES.jsonl",
  description:
    'Reads lines {"id","values":[…]} (null is a missing value; optional "step_s") and answers each with\n' +
    '{"id","periods":[…]}: whole samples a cycle, strongest first, empty when there is none.',
  options: {},
  examples: [
    `node -e 'console.log(JSON.stringify({ id: "a", values: Array.from({ length: 240 }, (_, h) => 5 + Math.sin(h * Math.PI / 12)) }))' | forescale periods`,
  ],
  run: (_values, positionals, io) => pipe(io, positionals, answer, (request) => ({ id: request?.id ?? null })),
};

function answer(request: Record<string, unknown>): object {
  const values = readValues(request.values);
  const step = request.step_s;
  if (step !== undefined && !(typeof step === "number" && step > 0))
    throw new Error(`step_s is ${JSON.stringify(step)}; give the seconds of a step, above 0`);
  const found = detectPeriods(values, step === undefined ? {} : { stepMs: (step as number) * 1000 });
  return { id: request.id ?? null, periods: [...new Set(found.map(({ period }) => Math.round(period)))] };
}

function readValues(raw: unknown): Float64Array {
  if (!Array.isArray(raw))
    throw new Error(`values is ${raw === undefined ? "missing" : "no array"}; give numbers or null`);
  return Float64Array.from(raw, (value, i) => {
    if (value === null) return Number.NaN;
    if (typeof value !== "number") throw new Error(`values[${i}] is ${JSON.stringify(value)}; give numbers or null`);
    if (!Number.isFinite(value)) throw new Error(`values[${i}] is beyond ±1.8e308, the largest number there is`);
    return value;
  });
}
