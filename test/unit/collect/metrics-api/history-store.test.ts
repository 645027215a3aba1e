import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CollectError } from "../../../../src/collect/collect-error.ts";
import { HistoryStore } from "../../../../src/collect/metrics-api/history-store.ts";
import type { PodRecord } from "../../../../src/collect/pods/pod-windows.ts";

const minute = 60_000;
const begin = Date.UTC(2026, 0, 5);
let folder: string;
let file: string;
let warnings: string[];
const open: HistoryStore[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "history-store-"));
  file = join(folder, "deep", "history.db");
  warnings = [];
});
afterEach(() => {
  for (const store of open.splice(0)) store.close();
  rmSync(folder, { recursive: true });
});

function store(): HistoryStore {
  const opened = new HistoryStore({ file, onWarning: (message) => warnings.push(message) });
  open.push(opened);
  return opened;
}

const sample = (timeMs: number, value: number, series = "shop/web/load") => ({ series, stepMs: minute, timeMs, value });
const all = (from: HistoryStore, series = "shop/web/load") => from.read(series, minute, begin - minute, begin + 1e10);

/** Fills a store with `steps` steps whose values are their numbers. */
function filled(steps: number): HistoryStore {
  const made = store();
  made.add(Array.from({ length: steps }, (_, i) => sample(begin + (i + 1) * minute, i)));
  return made;
}

describe("samples", () => {
  test("become the means of their steps, gaps stay, and all is there after a restart", () => {
    const first = store();
    first.add([sample(begin + 15_000, 1), sample(begin + 30_000, 2), sample(begin + minute, 6)]);
    first.add([sample(begin + 3 * minute, 9), sample(begin + 4 * minute, NaN), sample(begin + 5 * minute, Infinity)]);
    first.close();
    const series = all(store());
    expect(series).toEqual({ startMs: begin, stepMs: minute, values: Float64Array.of(3, NaN, 9) });
    expect(warnings).toEqual([]);
  });

  test("told twice they count once", () => {
    const made = store();
    made.add([sample(begin + 30_000, 4), sample(begin + 30_000, 4), sample(begin + 40_000, 8)]);
    made.add([sample(begin + 40_000, 8)]);
    expect([...all(made).values]).toEqual([6]);
  });

  test("series and steps do not mix", () => {
    const made = store();
    made.add([
      sample(begin + minute, 1, "a"),
      sample(begin + minute, 2, "b"),
      { ...sample(begin + minute, 3, "a"), stepMs: 5 * minute },
    ]);
    expect([...all(made, "a").values]).toEqual([1]);
    expect([...all(made, "b").values]).toEqual([2]);
    expect([...made.read("a", 5 * minute, begin, begin + 5 * minute).values]).toEqual([3]);
    expect(all(made, "c").values).toHaveLength(0);
  });

  test("older than the retention they are dropped, and so are pods that ended then", () => {
    const made = filled(10);
    const pod = (uid: string, createdMs: number, endedMs: number | undefined): PodRecord => ({
      uid,
      namespace: "shop",
      name: uid,
      createdMs,
      scheduledMs: undefined,
      ready: [],
      startupSeconds: undefined,
      endedMs,
    });
    made.putPods("shop/web", [
      pod("old", begin - 1e10, begin - 1e10),
      pod("lasts", begin - 1e10, undefined),
      pod("new", begin, begin + 6 * minute),
    ]);
    made.prune(begin + 90 * 86_400_000 + 5 * minute);
    expect(all(made).startMs).toBe(begin + 5 * minute);
    expect(made.pods("shop/web").map(({ uid }) => uid)).toEqual(["lasts", "new"]);
  });

  test("of a workload that is gone nothing stays, and of others all", () => {
    const made = filled(3);
    made.add([sample(begin + minute, 5, "shop/web2/load"), sample(begin + minute, 5, "shop/web/cpu")]);
    made.forget("shop/web", "shop/web/");
    expect(all(made).values).toHaveLength(0);
    expect(all(made, "shop/web/cpu").values).toHaveLength(0);
    expect(all(made, "shop/web2/load").values).toHaveLength(1);
  });
});

test("pods' records come back as they were, open windows included", () => {
  const record: PodRecord = {
    uid: "u1",
    namespace: "shop",
    name: "web-1",
    createdMs: begin,
    scheduledMs: begin + 1,
    ready: [
      { fromMs: begin + 2, toMs: begin + 3 },
      { fromMs: begin + 4, toMs: Infinity },
    ],
    startupSeconds: 0.002,
    endedMs: undefined,
  };
  const made = store();
  made.putPods("shop/web", [record]);
  made.putPods("shop/web", [{ ...record, name: "web-1" }]);
  made.close();
  expect(store().pods("shop/web")).toEqual([record]);
});

describe("lost data means a shorter history, never a wrong one", () => {
  const aside = () => readdirSync(join(folder, "deep")).filter((name) => name.includes(".damaged-"));

  test.each<{ name: string; harm: () => void }>([
    { name: "a file that is no database", harm: () => writeFileSync(file, "not a database".repeat(1_000)) },
    { name: "a file cut short", harm: () => truncateSync(file, 3 * 4096) },
    {
      name: "pages overwritten",
      harm: () => {
        const bytes = readFileSync(file);
        bytes.fill(0xff, 4096, bytes.length - 4096);
        writeFileSync(file, bytes);
      },
    },
    {
      name: "a schema of a later version",
      harm: () => {
        const db = new DatabaseSync(file);
        db.exec("PRAGMA user_version = 99");
        db.close();
      },
    },
  ])("$name is moved aside and named, and a new one begun", ({ harm }) => {
    filled(5_000).close();
    harm();
    const again = store();
    expect(all(again).values).toHaveLength(0);
    expect(aside()).toContain("history.db.damaged-1");
    expect(warnings).toEqual([
      expect.stringMatching(/history\.db .*moved to .*history\.db\.damaged-1, and history begins anew/),
    ]);
    again.add([sample(begin + minute, 1)]);
    expect([...all(again).values]).toEqual([1]);
    again.close();
    harm();
    store();
    expect(aside()).toContain("history.db.damaged-2");
  });

  test("a flipped bit within a value, which SQLite does not notice, is a gap", () => {
    filled(100).close();
    const db = new DatabaseSync(file);
    db.exec(`UPDATE samples SET mean = 5000 WHERE start = ${begin + 50 * minute}`);
    db.exec(`UPDATE samples SET start = start + 1 WHERE start = ${begin + 60 * minute}`);
    db.close();
    const { values } = all(store());
    expect(values).toHaveLength(100);
    expect([...values.entries()].filter(([, value]) => Number.isNaN(value)).map(([i]) => i)).toEqual([50, 60]);
    expect(values[51]).toBe(51);
  });

  test("damage met while it runs: what is read is empty, the next write works", () => {
    const made = filled(80_000); // more than SQLite keeps in memory
    made.close();
    const again = store();
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4096);
    writeFileSync(file, bytes);
    expect(all(again).values.length).toBeLessThan(80_000);
    expect(warnings).toHaveLength(1);
    again.add([sample(begin + minute, 1)]);
    expect([...all(again).values]).toEqual([1]);
  });

  test("a program killed while it writes leaves whole samples only", async () => {
    const source = new URL("../../../../src/collect/metrics-api/history-store.ts", import.meta.url).href;
    const writer = `
      import { HistoryStore } from ${JSON.stringify(source)};
      const store = new HistoryStore({ file: ${JSON.stringify(file)} });
      for (let i = 0; ; i++) {
        // Three samples a step, in one transaction: a step is there with its whole mean or not at all.
        const end = ${begin} + (i + 1) * 60000;
        store.add([40000, 20000, 0].map((before) => ({ series: "shop/web/load", stepMs: 60000, timeMs: end - before, value: i })));
        if (i === 200) process.stdout.write("going");
      }`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", writer], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    const { values } = all(store());
    expect(values.length).toBeGreaterThan(200);
    expect([...values].every((value, i) => value === i)).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("what cannot be written fails as a whole, with a word and a remedy", () => {
    const made = filled(1);
    const error = (() => {
      try {
        made.add([
          sample(begin + 2 * minute, 1),
          sample(begin + 3 * minute, Number.MAX_VALUE),
          { ...sample(0, 1), series: null as never },
        ]);
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(CollectError);
    expect(error).toMatchObject({ code: "StoreFailed", message: expect.stringContaining("see the volume") });
    expect(all(made).values).toHaveLength(1);
  });

  test("a file that another process holds is left as it is", () => {
    filled(3);
    expect(() => new HistoryStore({ file })).toThrow(/held by another process/);
    expect(aside()).toEqual([]);
  });

  test("a folder that cannot be written is a failure, not damage", () => {
    writeFileSync(join(folder, "deep"), "a file where a folder should be");
    expect(() => store()).toThrow(/cannot be opened; see whether the volume is mounted/);
    expect(existsSync(`${file}.damaged-1`)).toBe(false);
  });
});
