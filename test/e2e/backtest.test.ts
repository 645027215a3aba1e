import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeUnless } from "../cluster/suite.ts";
import { readMarkup } from "../unit/backtest/report/markup-tree.ts";
import { startStub, succeed } from "../unit/collect/stub.ts";

const root = join(import.meta.dirname, "..", "..");
const program = join(root, "bin", "forescale.mjs");
const trace = join(root, "src", "demo", "traces", "us-departures-2001.csv.gz");
const minuteMs = 60_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "forescale-backtest-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(command: string, args: readonly string[]) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(command, args, { cwd: folder, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}
const backtest = (...args: string[]) => run(process.execPath, [program, "backtest", ...args]);

/** Days of a daily wave every five minutes, as a file. */
function csv(
  days: number,
  column = "load",
  value = (i: number) => 500 + 400 * Math.sin((2 * Math.PI * i) / 288),
): string {
  const rows = Array.from(
    { length: days * 288 },
    (_, i) => `${new Date(Date.UTC(2026, 2, 2) + i * 5 * minuteMs).toISOString()},${(value(i) + (i % 7)).toFixed(2)}`,
  );
  return `timestamp,${column}\n${rows.join("\n")}\n`;
}

const external = (name: string, target: string) =>
  `{name: ${name}, type: External, external: {metric: {name: ${name}}, target: ${target}}}`;
const ihpa = (metric: string) => `apiVersion: autoscaling.forescale.io/v1alpha1
kind: IntelligentHorizontalPodAutoscaler
metadata: {name: shop, namespace: default}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 2
  maxReplicas: 100
  metrics: [${metric}]
  prediction: {quantile: "99"}
  portraitProviders:
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Predictive}}
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Reactive}}
`;

describe("on the bundled trace", () => {
  let first: Awaited<ReturnType<typeof backtest>>;
  beforeAll(async () => {
    first = await backtest("--history", trace, "--report", "report.html", "--replay", "1d", "-o", "json");
  }, 120_000);

  test("one line of JSON has a verdict, its exit code, and figures that make sense; progress goes to stderr", () => {
    expect(first.stdout).toMatch(/^[^\n]+\n$/);
    const { verdict, workloads, failures } = JSON.parse(first.stdout);
    expect(failures).toEqual([]);
    expect(workloads).toHaveLength(1);
    const [{ policies, accuracy, reasons, replayedDays, learntDays, tried }] = workloads;
    expect(first.code).toBe({ Enable: 0, KeepObserving: 3, NotPredictable: 4 }[verdict as "Enable"]);
    expect([learntDays, replayedDays]).toEqual([34, 1]);
    expect(policies.oracle).toMatchObject({ underProvisionedMinutes: 0, unserved: 0, overOracle: 1 });
    for (const name of ["forescale", "hpaTuned", "hpaDefault", "cronTuned"]) {
      expect(policies[name].overOracle).toBeGreaterThan(0.7);
      expect(policies[name].overOracle).toBeLessThan(4);
      expect(policies[name].actions).toBeGreaterThan(20);
    }
    expect(policies.hpaDefault.target).toBe(0.7);
    expect(tried.length).toBeGreaterThan(50);
    for (const name of ["hpaTuned", "cronTuned"])
      expect(tried.map(({ target }: { target: number }) => target)).toContain(policies[name].target);
    expect(reasons.map(({ message }: { message: string }) => message).join("\n")).toMatch(
      /No pod was there for .* of the demand.*It changes the size \d+ times a day/s,
    );
    expect(accuracy.relativeWql).toBeLessThan(0.9);
    expect(accuracy.horizons.map(({ toHours }: { toHours: number }) => toHours)).toEqual([1, 4, 12, 24]);
    expect(reasons.length).toBeGreaterThanOrEqual(4);
    expect(first.stderr).toMatch(/1 of 1 workload done, 100 %/);
  });

  test("the report is one well-formed page", () => {
    const { elements } = readMarkup(readFileSync(join(folder, "report.html"), "utf8"));
    expect(elements.filter(({ name }) => name === "svg")).toHaveLength(3);
  });

  const chromium = findChromium();
  describeUnless(
    chromium === undefined ? "there is no chromium on the PATH (apt-get install chromium)." : undefined,
    "in a real Chromium",
    () => {
      test.each(["light", "dark"])(
        "the page draws without a complaint (%s)",
        async (scheme) => {
          const page = `file://${join(folder, "report.html")}`;
          const [dump, shot] = [await browse(page, scheme, "--dump-dom"), join(folder, `${scheme}.png`)];
          // A path that cannot be drawn, or anything that the policy blocks, is said on the console.
          expect(dump.stderr).not.toMatch(/CONSOLE|Refused to/);
          expect(dump.stdout).toContain("</html>");
          expect(dump.stdout.match(/<svg /g)).toHaveLength(3);
          await browse(page, scheme, `--screenshot=${shot}`);
          expect([...readFileSync(shot).subarray(1, 4)]).toEqual([..."PNG"].map((letter) => letter.charCodeAt(0)));
          expect(statSync(shot).size).toBeGreaterThan(40_000); // an empty page has 5 kB
        },
        120_000,
      );
    },
  );

  async function browse(page: string, scheme: string, ...what: string[]) {
    const home = mkdtempSync(join(tmpdir(), "forescale-chromium-"));
    try {
      return await run(chromium!, [
        ..."--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split(" "),
        ..."--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,1700".split(" "),
        ...`--enable-logging=stderr --user-data-dir=${home}`.split(" "),
        ...(scheme === "dark" ? ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] : []),
        ...what,
        page,
      ]);
    } finally {
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    }
  }
});

describe("a folder", () => {
  test("gives a line a workload and the worst exit code; a file that cannot be read is named, and the others go on", async () => {
    const traces = mkdtempSync(join(folder, "traces-"));
    writeFileSync(join(traces, "a.csv"), csv(5));
    writeFileSync(join(traces, "b.csv.gz"), gzipSync(csv(5, "qps", (i) => 900 + 300 * Math.cos(i / 40))));
    writeFileSync(join(traces, "broken.csv"), csv(5).replace("500.", "many."));
    writeFileSync(join(traces, "stray.csv"), csv(5).replace(/,\d+\.\d+\n/, ",-3\n"));
    writeFileSync(join(traces, "notes.txt"), "not a trace");
    writeFileSync(join(traces, "short.csv"), csv(1));
    const { code, stdout, stderr } = await backtest("--folder", traces, "--replay", "6h", "--target", "20");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^workload .*verdict\na {2,}.*\nb {2,}.*\n/);
    expect(stderr).toMatch(/^forescale: broken: the history broken\.csv: line \d+: load is "many\.\d+"/m);
    expect(stderr).toContain('stray.csv: line 2: load is "-3": left out, as a load is never negative');
    expect(stdout).toMatch(/^stray /m);
    expect(stderr).toMatch(/short: .*to learn from; 2 days at least are needed/);
  }, 120_000);
});

describe("a manifest", () => {
  test("sets targets and limits; another name of the only column is fine, and told", async () => {
    writeFileSync(join(folder, "one.csv"), csv(5));
    writeFileSync(join(folder, "ihpa.yaml"), ihpa(external("requests", '{type: AverageValue, averageValue: "20"}')));
    const asked = ["--history", "one.csv", "--ihpa", "ihpa.yaml", "--replay", "6h", "-o", "json"];
    const { stdout, stderr } = await backtest(...asked);
    expect(stderr).toContain("one: the column load is taken for the metric requests");
    const [workload] = JSON.parse(stdout).workloads;
    expect(workload).toMatchObject({ name: "one", metric: "requests", podTargets: { requests: 20 } });
  }, 120_000);

  test("that gives a share of what pods request needs --target", async () => {
    const cpu = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}";
    writeFileSync(join(folder, "one.csv"), csv(5));
    writeFileSync(join(folder, "share.yaml"), ihpa(cpu));
    const asked = ["--history", "one.csv", "--ihpa", "share.yaml", "--replay", "6h", "-o", "json"];
    const { code, stderr } = await backtest(...asked);
    expect(code).toBe(1);
    expect(stderr).toMatch(/share\.yaml: metric cpu does not tell what one pod carries; give --target N/);
    const [workload] = JSON.parse((await backtest(...asked, "--target", "20")).stdout).workloads;
    expect(workload.podTargets).toEqual({ cpu: 20 });
  }, 120_000);
});

describe("a manifest with a capacity model", () => {
  const metric = external("load", '{type: AverageValue, averageValue: "20"}');
  const asked = ["--history", "sized.csv", "--ihpa", "sized.yaml", "--replay", "6h", "-o", "json"];
  beforeAll(() => {
    writeFileSync(
      join(folder, "sized.yaml"),
      `${ihpa(metric)}  capacity: {loads: [load], usage: {name: cpu, target: 700m}}\n`,
    );
  });

  test("learns it from the columns that it names", async () => {
    const [header, ...rows] = csv(5).trimEnd().split("\n");
    const wide = rows.map((row, i) => {
      const load = Number(row.split(",")[1]);
      return `${row},${(load / 100 + 3 + 0.01 * (i % 5)).toFixed(3)},30`;
    });
    writeFileSync(join(folder, "sized.csv"), `${header},cpu,pods\n${wide.join("\n")}\n`);
    const { stdout, stderr } = await backtest(...asked);
    const [{ capacity }] = JSON.parse(stdout).workloads;
    expect(capacity).toMatchObject({ model: "LinearWithBase", rangeSeen: [{ name: "load" }] });
    expect(stderr).toMatch(/sized: capacity LinearWithBase: /);
  }, 120_000);

  test("says which column is missing, and goes by the targets", async () => {
    writeFileSync(join(folder, "sized.csv"), csv(5));
    const { stdout, stderr } = await backtest(...asked);
    expect(JSON.parse(stdout).workloads[0].capacity.model).toBe("PerPod");
    expect(stderr).toMatch(/sized: capacity PerPod: .* no column pods, cpu; add it/);
  }, 120_000);
});

describe("a Prometheus query", () => {
  test("makes every series a workload, named by what tells them apart; the token comes from a file and stays unsaid", async () => {
    const stub = await startStub(({ parameters, headers }, response) => {
      expect(headers.authorization).toBe("Bearer s3cret-token");
      const [from, to, step] = ["start", "end", "step"].map((name) => Number(parameters.get(name)));
      const values = (app: number) =>
        Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, k): [number, string] => {
          const seconds = from + k * step;
          return [seconds, String(500 + 100 * app * Math.sin((2 * Math.PI * seconds) / 86_400))];
        });
      succeed(response, "matrix", [
        { metric: { app: "cart", job: "x" }, values: values(2) },
        { metric: { app: "shop", job: "x" }, values: values(4) },
      ]);
    });
    writeFileSync(join(folder, "token"), "s3cret-token\n");
    const { code, stdout, stderr } = await backtest(
      ...["--prometheus", stub.url, "--query", "sum by (app) (rate(q[5m]))", "--range", "4d", "--step", "5m"],
      ...["--token-file", "token", "--replay", "6h", "-o", "json"],
    );
    await stub.close();
    expect([0, 3, 4]).toContain(code);
    const { workloads } = JSON.parse(stdout);
    expect(workloads.map(({ name }: { name: string }) => name)).toEqual(["cart", "shop"]);
    expect(stdout + stderr).not.toContain("s3cret");
  }, 120_000);
});

describe("wrong use is one sentence", () => {
  test.each([
    { args: [], code: 2, says: /needs --history FILE\.csv, --folder DIR, or --prometheus/ },
    { args: ["--history", "a.csv", "--folder", "."], code: 2, says: /--history and --folder are two ways/ },
    { args: ["--history", "a.csv", "--query", "up"], code: 2, says: /--query goes with --prometheus/ },
    { args: ["--prometheus", "http://localhost:1"], code: 2, says: /needs --query/ },
    {
      args: ["--prometheus", "http://localhost:1", "--query", "up", "--range", "x"],
      code: 2,
      says: /--range x is no time/,
    },
    { args: ["--history", "absent.csv"], code: 1, says: /absent\.csv can't be read: there is no such file/ },
    { args: ["--history", "."], code: 1, says: /it is a folder; use --folder/ },
    { args: ["--folder", "absent"], code: 1, says: /the folder absent can't be read/ },
    { args: ["--history", "a.csv", "--startup=-5"], code: 2, says: /--startup -5 is not a number from 0 to 3600/ },
    { args: ["--history", "a.csv", "--target", "-5"], code: 2, says: /--target -5 is not a number above 0/ },
    { args: ["--history", "a.csv", "--target", "0"], code: 2, says: /--target 0 is not a number above 0/ },
    { args: ["--history", "a.csv", "--quantile", "30"], code: 2, says: /--quantile 30 is none/ },
    { args: ["--history", "a.csv", "--time-zone", "Mars"], code: 2, says: /--time-zone Mars is none/ },
    { args: ["--history", "a.csv", "--replay", "2"], code: 2, says: /--replay 2 is no time/ },
    { args: ["--history", "a.csv", "-o", "xml"], code: 2, says: /-o xml is none/ },
    { args: ["--history", "a.csv", "--ihpa", "absent.yaml"], code: 1, says: /absent\.yaml can't be read/ },
    { args: ["a.csv"], code: 2, says: /"a\.csv" is not expected/ },
  ])(
    "$args",
    async ({ args, code, says }) => {
      const said = await backtest(...args);
      expect(said.stderr).toMatch(says);
      expect(said.stderr).toMatch(/^forescale: [^\n]+\n$/);
      expect(said).toMatchObject({ code, stdout: "" });
    },
    60_000,
  );
});

function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.flatMap((each) => names.map((name) => join(each, name))).find((path) => existsSync(path));
}
