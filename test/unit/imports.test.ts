import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const src = join(import.meta.dirname, "..", "..", "src");

/** Which folder may import which, besides itself. The data flows down this table. */
const mayImport: Record<string, readonly string[]> = {
  api: [],
  series: [],
  kube: ["api"],
  collect: ["api", "series", "kube"],
  forecast: ["series"],
  capacity: ["api", "series"],
  portrait: ["api", "series", "forecast", "capacity", "hpa"],
  decide: ["api", "series", "forecast", "capacity", "portrait", "hpa", "stability"],
  pods: ["api"],
  hpa: ["api"],
  serve: ["api", "kube", "portrait", "decide", "pods"],
  stability: ["api", "pods"],
  sidecar: ["api", "pods"],
  controllers: [
    "api",
    "series",
    "kube",
    "collect",
    "forecast",
    "capacity",
    "portrait",
    "decide",
    "pods",
    "hpa",
    "stability",
  ],
  backtest: ["api", "series", "forecast", "capacity", "portrait", "decide", "hpa"],
  demo: [
    "api",
    "series",
    "kube",
    "collect",
    "forecast",
    "capacity",
    "portrait",
    "decide",
    "pods",
    "hpa",
    "serve",
    "stability",
    "backtest",
  ],
};
const everything = [...Object.keys(mayImport), "cli"];
mayImport.cli = [...everything, "log.ts", "telemetry.ts"]; // beside main.ts, which wires

/** Folders without clock, randomness, environment, files or network. */
const pure = ["api", "series", "forecast", "capacity", "portrait", "decide", "pods", "stability", "hpa", "backtest"];
const impure =
  /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.(env|hrtime|stdout|stderr)\b|\bperformance\.now\(|\bfetch\(|from "node:(fs|net|http|https|tls|child_process|os|dns|sqlite)/;

function sources(): { path: string; folder: string; text: string }[] {
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && path.includes("/"))
    .map((path) => ({ path, folder: path.split("/")[0], text: readFileSync(join(src, path), "utf8") }));
}

/** Targets of static and dynamic relative imports, as folders below src. */
function importedFolders(file: { path: string; text: string }): string[] {
  const specifiers = [...file.text.matchAll(/(?:from|import\(|import)\s*"(\.[^"]+)"/g)].map((match) => match[1]);
  return specifiers.map((specifier) => relative(src, join(src, file.path, "..", specifier)).split("/")[0]);
}

describe("the table of imports", () => {
  test("every folder of src stands in it", () => {
    expect(sources().filter(({ folder }) => !(folder in mayImport))).toEqual([]);
  });

  test.each(Object.keys(mayImport))("%s imports only what the table allows", (folder) => {
    const allowed = new Set([folder, ...mayImport[folder]]);
    const wrong = sources()
      .filter((file) => file.folder === folder)
      .flatMap((file) =>
        importedFolders(file)
          .filter((target) => !allowed.has(target))
          .map((target) => `${file.path} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  test.each(pure)("%s is pure: no clock, randomness, environment, files or network", (folder) => {
    const wrong = sources()
      .filter((file) => file.folder === folder && impure.test(file.text))
      .map((file) => `${file.path}: ${file.text.match(impure)?.[0]}`);
    expect(wrong).toEqual([]);
  });
});
