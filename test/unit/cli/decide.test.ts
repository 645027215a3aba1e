import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../../src/cli/decide.ts";
import { readHistory } from "../../../src/cli/read-history.ts";

describe("a history", () => {
  const read = (...lines: string[]) => readHistory(lines.join("\n"), ["load"]).get("load")!;

  test("is read with its gaps: empty fields and missing rows", () => {
    const series = read(
      "timestamp,other,load",
      "2025-11-24T00:00:00Z,1,5",
      "2025-11-24T00:01:00Z,1,",
      "2025-11-24T00:03:00Z,1,7",
      "2025-11-24T00:04:00Z,1,8",
    );
    expect(series).toEqual({
      startMs: Date.parse("2025-11-24T00:00:00Z"),
      stepMs: 60_000,
      values: Float64Array.of(5, Number.NaN, Number.NaN, 7, 8),
    });
  });

  test("stamps without a zone are UTC, wherever this runs", () => {
    expect(read("timestamp,load", "2025-11-24 06:00:00,5").startMs).toBe(Date.parse("2025-11-24T06:00:00Z"));
  });

  test("Windows line ends, quotes and a byte order mark are read", () => {
    expect([
      ...read('\uFEFF"timestamp","load"\r', '2025-11-24T00:00:00Z,"5"\r', "2025-11-24T00:01:00Z,6\r").values,
    ]).toEqual([5, 6]);
  });

  describe("of which less than one value in a hundred is negative", () => {
    const rows = (negatives: readonly number[]) =>
      Array.from({ length: 400 }, (_, i) => `${new Date(i * 60_000).toISOString()},${negatives.includes(i) ? -5 : i}`);

    test.each([
      { negatives: [7], says: ['line 9: load is "-5": left out, as a load is never negative'] },
      {
        negatives: [7, 300],
        says: ['2 negative values of load are left out, as a load is never negative; the first: line 9: load is "-5"'],
      },
      { negatives: [], says: [] },
    ])("is read without them, and says so: $negatives", ({ negatives, says }) => {
      const warnings: string[] = [];
      const { values } = readHistory(["timestamp,load", ...rows(negatives)].join("\n"), ["load"], (warning) =>
        warnings.push(warning),
      ).get("load")!;
      expect(warnings).toEqual(says);
      values.forEach((value, i) => {
        expect(value).toBe(negatives.includes(i) ? Number.NaN : i);
      });
    });

    test("with more than that it is refused, as it is no load", () => {
      expect(() => read("timestamp,load", ...rows([3, 4, 5, 6, 7]))).toThrow(
        'line 5: load is "-5", and 4 more are negative; a load is a number from 0',
      );
    });
  });

  test("a header alone is an empty history", () => {
    expect(read("timestamp,load").values).toHaveLength(0);
  });

  test.each([
    {
      name: "a missing column",
      lines: ["timestamp,cpu", "2025-11-24T00:00:00Z,1"],
      says: 'there is no column "load"; the header has cpu',
    },
    {
      name: "a wrong header",
      lines: ["time,load"],
      says: 'line 1: the header begins with "time"; write timestamp,load',
    },
    { name: "text", lines: ["timestamp,load", "2025-11-24T00:00:00Z,many"], says: 'line 2: load is "many"' },
    { name: "a negative load", lines: ["timestamp,load", "2025-11-24T00:00:00Z,-1"], says: 'line 2: load is "-1"' },
    {
      name: "infinity",
      lines: ["timestamp,load", "2025-11-24T00:00:00Z,Infinity"],
      says: 'line 2: load is "Infinity"',
    },
    { name: "no time", lines: ["timestamp,load", "yesterday,1"], says: 'line 2: "yesterday" is no timestamp' },
    {
      name: "unsorted rows",
      lines: ["timestamp,load", "2025-11-24T00:01:00Z,1", "2025-11-24T00:00:00Z,1"],
      says: "line 3 goes back in time",
    },
    {
      name: "a stamp twice",
      lines: ["timestamp,load", "2025-11-24T00:01:00Z,1", "2025-11-24T00:01:00Z,1"],
      says: "line 3 repeats the timestamp",
    },
    {
      name: "a short row",
      lines: ["timestamp,a,load", "2025-11-24T00:01:00Z,1"],
      says: "line 2 has 2 fields, the header 3",
    },
    {
      name: "a row between steps",
      lines: [
        "timestamp,load",
        ...[0, 60, 120, 150, 180, 240, 300].map((s) => `${new Date(s * 1000).toISOString()},1`),
      ],
      says: "line 5 does not fit the steps: most rows are 60 s apart",
    },
    { name: "nothing", lines: [""], says: 'line 1: the header begins with ""' },
  ])("with $name is refused in one sentence", ({ lines, says }) => {
    expect(() => read(...lines)).toThrow(says);
  });
});

describe("forescale decide", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "forescale-decide-"));
    await writeFile(join(folder, "ihpa.yaml"), manifest);
    const rows = Array.from(
      { length: 3 * 1440 },
      (_, k) => `${new Date(start + k * 60_000).toISOString()},${20 + 10 * Math.sin(k / 229)}`,
    );
    await writeFile(join(folder, "history.csv"), `timestamp,load\n${rows.join("\n")}\n`);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const start = Date.parse("2025-11-20T00:00:00Z");
  const now = start + 3 * 86_400_000;
  const manifest = `
apiVersion: autoscaling.forescale.io/v1alpha1
kind: IntelligentHorizontalPodAutoscaler
metadata: {name: bench, namespace: default}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: bench}
  maxReplicas: 200
  metrics:
  - name: load
    type: External
    external: {metric: {name: load}, target: {type: AverageValue, averageValue: "900m"}}
  prediction: {quantile: "99.9"}
`;
  const tick = (k: number, more: object = {}) =>
    JSON.stringify({
      time: new Date(now + k * 15_000).toISOString(),
      metrics: { load: 18 },
      replicas: { online: 25, cutoff: 0, standby: 0, starting: 1 },
      startup_s: [],
      ...more,
    });

  async function run(lines: readonly string[], args: object = {}) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const io = { stdin: Readable.from(lines.map((line) => `${line}\n`)), stdout, stderr };
    const code = await command.run({ ihpa: "ihpa.yaml", history: "history.csv", ...args }, [], {
      ...io,
      signal: new AbortController().signal,
      cwd: folder,
    });
    stdout.end();
    stderr.end();
    const text = (await stdout.toArray()).join("");
    return {
      code,
      said: (await stderr.toArray()).join(""),
      answers: text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    };
  }

  test("answers each line in order, with the sum as the total and a reason of a word and a sentence", async () => {
    const { code, answers } = await run([
      tick(0),
      tick(1),
      tick(2, { startup_s: [40] }),
      tick(3, { metrics: { load: null } }),
    ]);
    expect(code).toBe(0);
    expect(answers.map(({ time }) => time)).toEqual([0, 1, 2, 3].map((k) => JSON.parse(tick(k)).time));
    for (const { desired, total, reason, rung } of answers) {
      expect(desired).toEqual({ online: total, cutoff: 0, standby: 0 });
      expect(total).toBeGreaterThanOrEqual(20);
      expect(reason).toMatch(/^[A-Z][A-Za-z]+: \d+ pods/);
      expect(rung).toBe("Fresh");
    }
  });

  test("a change in steps and a hot pool: cut-off and frozen pods stand in the answer, and the total is their sum", async () => {
    const staged = `${manifest}  portraitProviders: [{type: Static, static: {replicas: 20}}]
  standby: {minReplicas: 3}
  behavior:
    scaleDown:
      grayStrategy: {grayState: Cutoff, changePercent: 50, changeIntervalSeconds: 30, observationSeconds: 30}
`;
    await writeFile(join(folder, "staged.yaml"), staged);
    // Each line has the pods that the answer before it asked for; the fall to 20 is held for a minute first.
    const there = [...Array(6).fill([26, 0, 0]), [23, 3, 3], [23, 3, 3], [20, 6, 3], [20, 6, 3], [20, 0, 3]];
    const lines = there.map(([online, cutoff, standby], k) =>
      tick(k, { replicas: { online, cutoff, standby, starting: 0 } }),
    );
    const { answers } = await run(lines, { ihpa: "staged.yaml" });
    const told = answers.map(({ desired, total }) => {
      expect(total).toBe(desired.online + desired.cutoff + desired.standby);
      return `${desired.online}/${desired.cutoff}/${desired.standby}`;
    });
    expect(told.filter((each, index) => each !== told[index - 1])).toEqual(["26/0/3", "23/3/3", "20/6/3", "20/0/3"]);
    expect(answers.find(({ desired }) => desired.online === 23).reason).toContain(
      "in steps, from 26 in service to 20: 23 for now (50 % of the change), 3 out of service and watched",
    );
  });

  test.each([
    { name: "broken JSON", line: "{", says: /JSON/, time: null },
    { name: "no time", line: tick(1, { time: "soon" }), says: /time is "soon"/, time: "soon" },
    {
      name: "text for a load",
      line: tick(1, { metrics: { load: "9" } }),
      says: /metrics\.load is "9"/,
      time: JSON.parse(tick(1)).time,
    },
    {
      name: "half a pod",
      line: tick(1, { replicas: { online: 1.5 } }),
      says: /replicas\.online is 1\.5/,
      time: JSON.parse(tick(1)).time,
    },
    { name: "a negative start", line: tick(1, { startup_s: [-1] }), says: /startup_s/, time: JSON.parse(tick(1)).time },
    { name: "a time that was already", line: tick(0), says: /does not come after/, time: JSON.parse(tick(0)).time },
  ])("a line with $name gets an error, and the rest go on", async ({ line, says, time }) => {
    const { code, answers } = await run([tick(0), line, tick(2)]);
    expect(code).toBe(0);
    expect(answers[1].error).toMatch(says);
    expect(answers[1].time).toBe(time);
    expect(answers[2].total).toBeGreaterThan(0);
  });

  test.each([
    { name: "a missing manifest", args: { ihpa: "none.yaml" }, says: "none.yaml can't be read (ENOENT)" },
    { name: "a missing option", args: { history: undefined }, says: "decide needs --history FILE" },
    { name: "a manifest that is none", args: { ihpa: "history.csv" }, says: "history.csv: " },
    { name: "a history that is none", args: { history: "ihpa.yaml" }, says: "ihpa.yaml: line 1" },
  ])("$name ends it in one sentence", async ({ args, says }) => {
    await expect(run([tick(0)], args)).rejects.toThrow(says);
  });

  test("with algorithm NHPP and no history of minutes, is ready for what arrives while a pod starts", async () => {
    // 0.2 requests a second: 720 an hour, but 24 in the two minutes that a pod takes, of which one in a thousand times 40 come.
    const rows = Array.from(
      { length: 14 * 24 },
      (_, k) => `${new Date(now - (14 * 24 - k) * 3_600_000).toISOString()},${(720 + ((k * 37) % 55) - 27) / 3600}`,
    );
    await writeFile(join(folder, "hourly.csv"), `timestamp,load\n${rows.join("\n")}\n`);
    const provider = (type: string) =>
      `  portraitProviders: [{type: Dynamic, priority: 1, dynamic: {portraitType: Predictive, algorithm: {type: ${type}}}}]\n`;
    const totals: number[] = [];
    for (const type of ["Forecast", "NHPP"]) {
      await writeFile(join(folder, `${type}.yaml`), manifest.replace("900m", "20m") + provider(type));
      const lines = [0, 1].map((k) => tick(k, { metrics: { load: 0.2 }, replicas: { online: 10 } }));
      const { answers } = await run(lines, { ihpa: `${type}.yaml`, history: "hourly.csv" });
      totals.push(answers[1].total);
    }
    expect(totals[1]).toBeGreaterThan(totals[0]);
    expect(totals[1]).toBeGreaterThanOrEqual(16); // 40 requests in two minutes, a pod for each 2.4 of them
    expect(totals[1]).toBeLessThanOrEqual(19);
  });

  test("a provider that an external program makes is left out, says so, and a silence goes down rung by rung", async () => {
    const providers = (reactive: string) =>
      `${manifest}  portraitProviders:
  - {type: Dynamic, dynamic: {portraitType: Predictive, algorithm: {type: External}}}
${reactive}`;
    await writeFile(join(folder, "alone.yaml"), providers(""));
    await writeFile(join(folder, "beside.yaml"), providers("  - {type: Dynamic, dynamic: {portraitType: Reactive}}\n"));
    // Three minutes of values, then none: every half minute for 51 minutes.
    const lines = Array.from({ length: 110 }, (_, k) => tick(2 * k, { metrics: { load: k < 7 ? 18 : null } }));
    const rungsOf = (answers: readonly { readonly rung?: string; readonly error?: string }[]) =>
      answers.map(({ rung, error }) => rung ?? error?.split(":")[0]).filter((each, k, all) => each !== all[k - 1]);
    const beside = await run(lines, { ihpa: "beside.yaml" });
    expect(rungsOf(beside.answers)).toEqual(["Reactive", "Coasting", "Held", "Expired"]);
    const alone = await run(lines, { ihpa: "alone.yaml" });
    expect(rungsOf(alone.answers)).toEqual(["Held", "Expired"]);
    for (const { said } of [beside, alone])
      expect(said).toContain(
        "portraitProviders[0] (Predictive) is made by an external program and proposes nothing here",
      );
  });

  test("learns the capacity from columns that the manifest names, and says what it learnt", async () => {
    const capacity = '  capacity: {model: LinearWithBase, loads: [load], usage: {name: cpu, target: "600m"}}\n';
    await writeFile(join(folder, "capacity.yaml"), manifest.trimEnd() + `\n${capacity}`);
    const rows = Array.from({ length: 3 * 288 }, (_, k) => {
      const [load, pods] = [20 + 10 * Math.sin(k / 46), 10 + (k % 9)];
      return `${new Date(start + k * 300_000).toISOString()},${load},${pods},${0.1 * pods + 0.25 * load}`;
    });
    await writeFile(join(folder, "capacity.csv"), `timestamp,load,pods,cpu\n${rows.join("\n")}\n`);
    const { answers } = await run([tick(0, { replicas: { online: 5 } })], {
      ihpa: "capacity.yaml",
      history: "capacity.csv",
    });
    // A pod carries (0.6 − 0.1) ÷ 0.25 = 2, where its target would say 0.9: 18 need 9 pods and some headroom, not 20.
    expect(answers[0].total).toBeGreaterThanOrEqual(9);
    expect(answers[0].total).toBeLessThan(18);
  });
});
