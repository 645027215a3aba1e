import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { importTable } from "../../scripts/import-table.ts";

const src = join(import.meta.dirname, "..", "..", "src");

const impure =
  /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.(env|hrtime|stdout|stderr)\b|\bperformance\.now\(|\bfetch\(|from "node:(fs|net|http|https|tls|child_process|os|dns|sqlite)/;

interface Source {
  /** Below src. */
  readonly path: string;
  readonly folder: string;
  /** First sub-folder below the folder; "." for the folder's own files. */
  readonly part: string;
  readonly text: string;
  /** Files that it imports, below src; types count. */
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => {
    const text = readFileSync(join(src, path), "utf8");
    const specifiers = [...text.matchAll(/(?:from|import\(|import)\s*"(\.[^"]+)"/g)].map(([, specifier]) => specifier);
    return { path, ...placeOf(path), text, imports: specifiers.map((each) => join(dirname(path), each)) };
  });
const inFolders = sources.filter(({ path }) => path.includes("/"));

function placeOf(path: string): { folder: string; part: string } {
  const [folder, part] = path.split("/");
  return { folder, part: path.split("/").length > 2 ? part : "." };
}

describe("the import table", () => {
  test("has every folder of src", () => {
    const folders = new Set(inFolders.map(({ folder }) => folder));
    expect([...folders].sort()).toEqual(Object.keys(importTable).sort());
  });

  test.each(Object.keys(importTable))("has every sub-folder of %s that holds code", (folder) => {
    const parts = new Set(inFolders.filter((each) => each.folder === folder).map(({ part }) => part));
    parts.delete(".");
    expect([...parts].sort()).toEqual(Object.keys(importTable[folder].inside ?? {}).sort());
  });

  test.each(Object.keys(importTable))("allows what %s imports from other folders", (folder) => {
    const allowed = new Set([folder, ...importTable[folder].imports]);
    const wrong = inFolders
      .filter((file) => file.folder === folder)
      .flatMap(({ path, imports }) =>
        imports.filter((target) => !allowed.has(placeOf(target).folder)).map((target) => `${path} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  test.each(Object.keys(importTable))("allows what the sub-folders of %s import from each other", (folder) => {
    const { inside = {} } = importTable[folder];
    const wrong = inFolders
      .filter((file) => file.folder === folder && file.part !== ".")
      .flatMap(({ path, part, imports }) =>
        imports
          .filter((target) => placeOf(target).folder === folder)
          .filter((target) => placeOf(target).part !== part && !inside[part].includes(placeOf(target).part))
          .map((target) => `${path} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  const pure = Object.keys(importTable).filter((folder) => importTable[folder].isPure);
  test.each(pure)("%s is pure: no clock, randomness, environment, files or network", (folder) => {
    const wrong = inFolders
      .filter((file) => file.folder === folder && impure.test(file.text))
      .map((file) => `${file.path}: ${file.text.match(impure)?.[0]}`);
    expect(wrong).toEqual([]);
  });
});

test("no files of src import each other in a circle, types included", () => {
  expect(circles(new Map(sources.map(({ path, imports }) => [path, imports])))).toEqual([]);
});

/** Groups of files of which each reaches every other by imports: Tarjan's strongly connected components of more than one. */
function circles(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];
  function visit(file: string): void {
    const at = order.size;
    order.set(file, at);
    lowest.set(file, at);
    path.push(file);
    for (const target of imports.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (path.includes(target)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!));
    }
    if (lowest.get(file) !== at) return;
    const circle = path.splice(path.indexOf(file));
    if (circle.length > 1) found.push(circle.sort());
  }
  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return found;
}
