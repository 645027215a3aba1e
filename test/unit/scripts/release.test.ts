import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { planRelease, releaseFiles } from "../../../scripts/release-plan.ts";

const clone = join(import.meta.dirname, "../../..");
const script = join(clone, "scripts/release.ts");
const files: Readonly<Record<string, string>> = {
  "package.json": '{\n  "name": "forescale",\n  "version": "0.1.0",\n  "scripts": { "check": "node --version" }\n}\n',
  "package-lock.json":
    '{\n  "name": "forescale",\n  "version": "0.1.0",\n  "packages": {\n    "": {\n      "name": "forescale",\n      "version": "0.1.0"\n    },\n    "node_modules/x": {\n      "version": "0.1.0"\n    }\n  }\n}\n',
  "manifests/kustomization.yaml": "images:\n- {name: forescale, newName: forescale, newTag: 0.1.0}\n",
  "README.md": "podman build -t forescale:0.1.0 -f Containerfile .\n",
  Containerfile: "# podman build -t forescale:0.1.0 -f Containerfile .\n",
  "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Something new.\n",
};
const plan = (version: string, changed: Record<string, string> = {}) =>
  new Map(
    planRelease(version, (path) => ({ ...files, ...changed })[path], "2026-12-24").map(({ path, text }) => [
      path,
      text,
    ]),
  );

describe("planRelease", () => {
  test("sets the version of the package, of its lockfile, of the image, and dates the changelog", () => {
    const edits = plan("0.2.0");
    expect([...edits.keys()]).toEqual(releaseFiles);
    const names = (path: string, version: string) => edits.get(path)!.split(version).length - 1;
    expect(releaseFiles.map((path) => names(path, "0.2.0"))).toEqual([1, 2, 1, 1, 1, 1]);
    expect(names("package-lock.json", "0.1.0")).toBe(1); // another package's
    expect(edits.get("CHANGELOG.md")).toBe(
      "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-12-24)\n\n- Something new.\n",
    );
  });

  test("finds the version in each file of the repository", () => {
    const { version } = JSON.parse(readFileSync(join(clone, "package.json"), "utf8"));
    expect(() => planRelease(version, (path) => readFileSync(join(clone, path), "utf8"), "2026-12-24")).not.toThrow();
  });

  const refused: readonly { name: string; version: string; changed: Record<string, string>; says: RegExp }[] = [
    { name: "a word as version", version: "next", changed: {}, says: /"next" is not a version; give three numbers/ },
    { name: "an older version", version: "0.0.9", changed: {}, says: /has 0\.1\.0 already, and 0\.0\.9 is before it/ },
    {
      name: "a changelog without news",
      version: "0.2.0",
      changed: { "CHANGELOG.md": "## Unreleased\n\n## 0.1.0 (2026-12-01)\n\n- Old.\n" },
      says: /has nothing under Unreleased; write what a user gets/,
    },
    {
      name: "a changelog without the heading",
      version: "0.2.0",
      changed: { "CHANGELOG.md": "# Changelog\n" },
      says: /has no heading "## Unreleased"/,
    },
    {
      name: "a file that no longer names the version",
      version: "0.2.0",
      changed: { Containerfile: "FROM scratch\n" },
      says: /Containerfile does not name the version/,
    },
  ];
  test.each(refused)("refuses $name", ({ version, changed, says }) => {
    expect(() => plan(version, changed)).toThrow(says);
  });
});

describe("npm run release", () => {
  let root: string;
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const release = (...args: string[]) =>
    spawnSync(process.execPath, [script, "--root", root, "--builder", "none", ...args], { encoding: "utf8" });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "forescale-release-"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    git("init", "--quiet", "--initial-branch", "main");
    for (const [key, value] of [
      ["user.name", "Tester"],
      ["user.email", "tester@example.com"],
    ])
      git("config", key, value);
    git("add", "--all");
    git("commit", "--quiet", "--message", "all");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test("with --dry-run says each step and changes nothing", () => {
    const before = git("rev-parse", "HEAD");
    const { status, stdout, stderr } = release("--dry-run", "0.2.0");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.trim().split("\n")).toEqual([
      "would run: npm run -s check",
      ...releaseFiles.map((path) => `would write: ${path}`),
      "would run: git commit --quiet --all --message 'release: v0.2.0'",
      "would run: git tag --annotate v0.2.0 --message 'Forescale 0.2.0'",
      "There is no Helm chart yet, so none is released.",
      "To publish: git push origin main v0.2.0",
    ]);
    expect(git("status", "--porcelain")).toBe("");
    expect(git("rev-parse", "HEAD")).toBe(before);
    expect(git("tag")).toBe("");
  });

  test("commits and tags what the plan says", () => {
    expect(release("0.2.0").status).toBe(0);
    expect(git("describe", "--exact-match")).toBe("v0.2.0");
    expect(git("status", "--porcelain")).toBe("");
    expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version).toBe("0.2.0");
  });

  test("refuses a work tree with changes, and a version that has a tag", () => {
    git("tag", "v0.2.0");
    expect(release("0.2.0")).toMatchObject({
      status: 1,
      stderr: "release: the tag v0.2.0 exists; give another version\n",
    });
    writeFileSync(join(root, "README.md"), "changed\n");
    expect(release("0.3.0").stderr).toMatch(/the work tree has changes; commit or stash them first/);
  });
});
