import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/api/validation/read-manifest.ts";
import { type DataQuality, describeQuality } from "../../src/forecast/data/data-quality.ts";

const root = join(import.meta.dirname, "..", "..");
const docs = join(root, "docs");
const pages = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map((name) => join(root, name)),
  ...readdirSync(docs, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => join(docs, path)),
];

/** Local files that a page links to or shows. */
function targets(page: string): string[] {
  const text = readFileSync(page, "utf8").replaceAll(/```[\s\S]*?```/g, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target.split("#")[0])
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target))
    .map((target) => join(dirname(page), target));
}

const fileNames: ReadonlySet<string> = new Set(
  ["src", "test", "scripts", "certs"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => basename(path)),
  ),
);

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(/\s/g, "-"),
  );
}

describe("the docs", () => {
  test.each(pages.map((page) => relative(root, page)))("%s links only to what is there", (page) => {
    expect(targets(join(root, page)).filter((target) => !existsSync(target))).toEqual([]);
  });

  test.each(pages.map((page) => relative(root, page)))("%s names only files of the repository that exist", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    const named = [...text.matchAll(/`((?:src|test|scripts|docs|manifests|native|certs)\/[\w./*-]*)`/g)];
    const paths = named.map(([, path]) => path).filter((path) => !path.includes("*"));
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test.each(pages.map((page) => relative(root, page)))("%s names no file by a name that none has", (page) => {
    const named = [...readFileSync(join(root, page), "utf8").matchAll(/`([\w-]+(?:\.test)?\.ts)`/g)];
    expect(named.map(([, name]) => name).filter((name) => !fileNames.has(name))).toEqual([]);
  });

  test.each(pages.map((page) => relative(root, page)))("%s links only to headings that are there", (page) => {
    const links = [...readFileSync(join(root, page), "utf8").matchAll(/\]\(([^)\s:]*)#([^)\s]+)\)/g)];
    const missing = links.filter(([, path, anchor]) => {
      const target = path === "" ? join(root, page) : join(root, dirname(page), path);
      return !anchorsOf(readFileSync(target, "utf8")).includes(anchor);
    });
    expect(missing.map(([link]) => link)).toEqual([]);
  });

  test("the architecture page names only what the code exports or declares", () => {
    const code = ["src", "scripts"].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts"))
        .map((path) => readFileSync(join(root, folder, path), "utf8")),
    );
    const text = readFileSync(join(docs, "architecture.md"), "utf8").replaceAll(/```[\s\S]*?```/g, "");
    const names = [...text.matchAll(/`([A-Za-z]+[a-z][A-Z]\w*)`/g)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !code.some((each) => new RegExp(`\\b${name}\\b`).test(each)))).toEqual([]);
  });

  const own = pages.filter((page) => dirname(page) === docs || page.startsWith(join(docs, "decisions")));
  test.each(own.filter((page) => !/decisions.\d/.test(page)).map((page) => relative(root, page)))(
    "%s says in its first lines whom it is for",
    (page) => {
      const [, first] = readFileSync(join(root, page), "utf8").split("\n\n");
      expect(first).toMatch(/^For /);
    },
  );

  test("the forecasting page quotes what a forecast says of a history", () => {
    const minute = 60_000;
    const sound: DataQuality = {
      steps: 10_000,
      stepMs: minute,
      samples: 10_000,
      missingShare: 0,
      longestGap: 0,
      sinceGap: 0,
      missingAtEnd: 0,
      negatives: 0,
      outliers: 0,
      isConstant: false,
    };
    const hours = (count: number) => 60 * count * minute;
    const said = [
      describeQuality({ ...sound, steps: 36 * 60 }),
      describeQuality({ ...sound, samples: 3 }),
      describeQuality(sound, { agoMs: hours(24), factor: 2, offset: 0 }),
      describeQuality(sound, { agoMs: hours(12), factor: 1, offset: 150 }),
      describeQuality(sound, undefined, Math.log(1.06)),
      describeQuality(sound, undefined, Math.log(0.98)),
      describeQuality({ ...sound, missingShare: 0.2 }),
      describeQuality({ ...sound, longestGap: 6 * 60, sinceGap: 48 * 60 }),
      describeQuality({ ...sound, missingAtEnd: 20 }),
      describeQuality({ ...sound, negatives: 3 }),
      describeQuality({ ...sound, negatives: 168 }),
      describeQuality({ ...sound, outliers: 1 }),
      describeQuality({ ...sound, isConstant: true }),
      describeQuality({ ...sound, resets: 2 }),
    ];
    const table = /begins with `history:`[\s\S]*?\n\n/.exec(readFileSync(join(docs, "forecasting.md"), "utf8"))![0];
    const quoted = table
      .split("\n")
      .slice(2)
      .flatMap((line) => [...line.split(" | ")[0].matchAll(/`([^`]+)`/g)].map(([, words]) => words));
    expect(said).toEqual(quoted);
  });

  test("every npm script that a page names is there", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const named = pages.flatMap((page) =>
      [...readFileSync(page, "utf8").matchAll(/npm run (?:-s )?([a-z][\w:-]*)/g)].map(([, script]) => script),
    );
    expect([...new Set(named)].filter((script) => !(script in scripts))).toEqual([]);
  });

  test("the hosted workflow runs .ci/run", () => {
    expect(readFileSync(join(root, ".github/workflows/ci.yml"), "utf8")).toMatch(/- run: \.ci\/run$/m);
  });

  test("the glossary has each word once", () => {
    const words = [...readFileSync(join(docs, "glossary.md"), "utf8").matchAll(/^\| ([^|]+) \|/gm)]
      .flatMap(([, words]) => words.split(", "))
      .filter((word) => word !== "Word" && word !== "---");
    expect(words.filter((word, at) => words.indexOf(word) !== at)).toEqual([]);
  });

  test("the manifests of the examples, the README and the pages are taken without a warning", () => {
    const names = readdirSync(join(docs, "examples")).filter((name) => name.endsWith(".yaml"));
    const examples = names.map((name) => readFileSync(join(docs, "examples", name), "utf8"));
    const written = pages.flatMap((page) =>
      [...readFileSync(page, "utf8").matchAll(/^( *)```yaml\n([\s\S]*?)^ *```/gm)].map(([, indent, text]) =>
        text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      ),
    );
    const whole = [...examples, ...written]
      .flatMap((text) => text.split(/^---$/m))
      .filter((text) => text.includes("apiVersion: autoscaling.forescale.io"));
    expect(whole.length).toBeGreaterThan(2);
    for (const text of whole) expect(readManifest(text).warnings, text).toEqual([]);
  });

  test("the README's pipe commands answer, each line as it stands there", { timeout: 120_000 }, () => {
    const section = readFileSync(join(root, "README.md"), "utf8").split("## Pipe commands")[1];
    const commands = /```sh\n([\s\S]*?)```/.exec(section)![1];
    // What the commands write belongs to no clone.
    const clone = mkdtempSync(join(tmpdir(), "forescale-readme-"));
    try {
      for (const entry of readdirSync(root).filter((name) => !commands.includes(`> ${name}`)))
        symlinkSync(join(root, entry), join(clone, entry));
      const out = execFileSync("bash", ["-euo", "pipefail", "-c", commands], { cwd: clone, encoding: "utf8" });
      const [forecast, periods, decision] = out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(forecast.quantiles["0.5"]).toHaveLength(6);
      expect(periods.periods).toEqual([24]);
      expect(decision).toMatchObject({ rung: "Fresh", desired: { cutoff: 0, standby: 0 } });
      expect(decision.total).toBeGreaterThan(10);
    } finally {
      rmSync(clone, { recursive: true });
    }
  });

  test("the tour's manifest is the same in the README and as a file", () => {
    const tour = readFileSync(join(root, "README.md"), "utf8").replaceAll(/^ {3}/gm, "");
    const [, manifest] = /^#.*\n([\s\S]*)$/.exec(readFileSync(join(docs, "examples", "ihpa.yaml"), "utf8"))!;
    expect(tour).toContain(manifest.trimEnd());
  });

  test("every figure stands in a page", () => {
    const shown = new Set(pages.flatMap(targets));
    const figures = readdirSync(join(docs, "figures")).map((name) => join(docs, "figures", name));
    expect(figures.filter((figure) => !shown.has(figure))).toEqual([]);
  });

  test("every page stands in the index", () => {
    const listed = new Set(targets(join(docs, "README.md")));
    const own = pages.filter((page) => dirname(page) === docs && !page.endsWith("README.md"));
    expect(own.filter((page) => !listed.has(page))).toEqual([]);
  });
});
