import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { command } from "../../../src/cli/forecast.ts";

const request = {
  id: "web",
  start: "2025-03-03T00:00:00Z",
  step_s: 3600,
  values: Array.from({ length: 96 }, (_, i) => (i % 24 === 5 ? null : 10 + (i % 24))),
  horizon: 3,
  quantiles: [0.9, 0.1, 0.5],
};

async function answers(...lines: string[]): Promise<Record<string, unknown>[]> {
  const stdout = new PassThrough();
  const collected = text(stdout);
  const stdin = Readable.from(lines.map((line) => `${line}\n`));
  const signal = new AbortController().signal;
  expect(await command.run({}, [], { stdin, stdout, stderr: new PassThrough(), signal, cwd: "/" })).toBe(0);
  stdout.end();
  return (await collected)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("a line gets its mean, its quantiles by level, periods and method; null is a missing value", async () => {
  const [answer] = await answers(JSON.stringify(request));
  expect(Object.keys(answer)).toEqual(["id", "mean", "quantiles", "periods", "method"]);
  expect(answer.id).toBe("web");
  const quantiles = answer.quantiles as Record<string, number[]>;
  expect(Object.keys(quantiles)).toEqual(["0.9", "0.1", "0.5"]);
  expect(quantiles["0.5"]).toEqual(answer.mean);
  for (let j = 0; j < 3; j++) expect(quantiles["0.1"][j]).toBeLessThanOrEqual(quantiles["0.9"][j]);
  for (const [j, value] of (answer.mean as number[]).entries()) expect(Math.abs(value - (10 + j))).toBeLessThan(2);
});

test.each([
  {
    name: "start missing",
    change: { start: undefined },
    error: 'start is missing, not a time such as "2025-03-01T00:00:00Z"',
  },
  {
    name: "start no time",
    change: { start: "yesterday" },
    error: 'start is "yesterday", not a time such as "2025-03-01T00:00:00Z"',
  },
  { name: "step of 0", change: { step_s: 0 }, error: "step_s is 0, not a number of seconds above 0" },
  { name: "step as text", change: { step_s: "60" }, error: 'step_s is "60", not a number of seconds above 0' },
  { name: "no values", change: { values: undefined }, error: "values is missing, not an array of numbers and nulls" },
  { name: "a word among values", change: { values: [1, "x"] }, error: 'values[1] is "x", neither a number nor null' },
  {
    name: "only nulls",
    change: { values: [null, null] },
    error: "TooShort: values hold 0 present samples, and this forecast needs 3; give a longer history",
  },
  { name: "horizon of 0", change: { horizon: 0 }, error: "horizon is 0, not a whole number of steps from 1 to 100000" },
  {
    name: "half a step",
    change: { horizon: 2.5 },
    error: "horizon is 2.5, not a whole number of steps from 1 to 100000",
  },
  {
    name: "no levels",
    change: { quantiles: 0.5 },
    error: "quantiles is 0.5, not an array of levels such as [0.5, 0.9]",
  },
  {
    name: "a level of 90",
    change: { quantiles: [0.5, 90] },
    error: "quantiles[1] is 90, not a number between 0 and 1",
  },
  {
    name: "unknown zone",
    change: { tz: "Mars/Olympus" },
    error: 'tz is "Mars/Olympus", not an IANA time zone such as "Europe/Berlin"',
  },
])("$name is one sentence, and the next line is answered", async ({ change, error }) => {
  const [bad, good] = await answers(JSON.stringify({ ...request, ...change }), JSON.stringify(request));
  expect(bad).toEqual({ id: "web", error });
  expect(good.mean).toHaveLength(3);
});

test("broken JSON names its line, with no id", async () => {
  const [bad, good] = await answers('{"id": 1,', JSON.stringify({ ...request, id: 2 }));
  expect(bad).toMatchObject({ id: null, error: expect.stringContaining("line 1 is not JSON") });
  expect(good.id).toBe(2);
});

test("a number too large for any is told as such, not as null", async () => {
  const [bad] = await answers(JSON.stringify({ ...request, values: [1, 2, 3] }).replace("3]", "1e400]"));
  expect(bad.error).toBe("values[2] is beyond ±1.8e308, the largest number there is");
});

test("the same of an algorithm that needs more says TooShort in the samples that were given", async () => {
  const [bad] = await answers(
    JSON.stringify({ ...request, step_s: 60, values: Array.from({ length: 60 }, (_, i) => i), algorithm: "SNTSF" }),
  );
  expect(bad.error).toBe(
    "TooShort: values hold 60 present samples, and this forecast needs 960; give a longer history",
  );
});

test("method begins with what is odd about the history, whatever the algorithm", async () => {
  const values = request.values.map((value, i) => (i > 40 && i < 53 ? null : value));
  const [experts, named] = await answers(
    JSON.stringify({ ...request, values }),
    JSON.stringify({ ...request, values, algorithm: "RobustSTL" }),
  );
  for (const { method } of [experts, named])
    expect(method).toMatch(/^history: 17 % missing, a gap of 13 h that ended 42 h ago; /);
});

test("a time without a zone is UTC, and tz decides where a day begins", async () => {
  // Three weeks, Saturdays and Sundays (of UTC) quiet; the day ahead is a Monday there, from noon on a Tuesday in Auckland.
  const values = Array.from({ length: 504 }, (_, i) => (Math.floor(i / 24) % 7 >= 5 ? 1 : 10) + (i % 5) / 10);
  const days = { ...request, values, horizon: 24 };
  const [withZ, without, auckland] = await answers(
    JSON.stringify(days),
    JSON.stringify({ ...days, start: "2025-03-03T00:00:00" }),
    JSON.stringify({ ...days, tz: "Pacific/Auckland" }),
  );
  expect(without).toEqual(withZ);
  expect((withZ.mean as number[])[20]).toBeGreaterThan(8);
  expect(auckland.mean).not.toEqual(withZ.mean);
});
