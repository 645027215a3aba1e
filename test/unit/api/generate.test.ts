import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

const script = join(import.meta.dirname, "../../../scripts/generate.ts");
const folders: string[] = [];

function generate(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "forescale-generate-"));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

test("what is committed is what the schemas give", () => {
  expect(generate("--check")).toEqual({ status: 0, stdout: "", stderr: "" });
});

test("--check lists what is missing, changed or too much, writes nothing, and ends with 1", () => {
  const root = emptyFolder();
  expect(generate("--root", root)).toMatchObject({ status: 0, stderr: "" });
  expect(generate("--root", root, "--check")).toMatchObject({ status: 0, stderr: "" });

  rmSync(join(root, "manifests/crds/replicaprofiles.yaml"));
  appendFileSync(join(root, "docs/reference/metricsource.md"), "by hand\n");
  writeFileSync(join(root, "docs/reference/old.md"), "left over\n");
  const { status, stderr } = generate("--root", root, "--check");
  expect(status).toBe(1);
  expect(stderr.trim().split("\n")).toEqual([
    "manifests/crds/replicaprofiles.yaml is missing",
    "docs/reference/metricsource.md is out of date",
    "docs/reference/old.md is not generated",
    "Run `npm run generate` and commit what it writes.",
  ]);

  generate("--root", root);
  expect(generate("--root", root, "--check").status).toBe(0);
  expect(readdirSync(join(root, "docs/reference"))).not.toContain("old.md");
});
