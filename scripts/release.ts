/**
 * Makes a release of the clone: version, changelog, commit, tag and image. Run by `npm run release -- VERSION`; with `--dry-run` it says
 * what it would do and does nothing. It pushes nothing: the commands for that are its last lines. `--root DIR` stands for the clone.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { planRelease } from "./release-plan.ts";

const { values, positionals } = parseArgs({
  options: {
    "dry-run": { type: "boolean", default: false },
    /** Program that builds the image; `none` leaves the image out. */
    builder: { type: "string", default: "podman" },
    root: { type: "string", default: join(import.meta.dirname, "..") },
  },
  allowPositionals: true,
});
const { root, builder, "dry-run": isDryRun } = values;

function output(program: string, ...args: string[]): string {
  return execFileSync(program, args, { cwd: root, encoding: "utf8" }).trim();
}

/** Says a step, and does it unless nothing is to be done. */
function step(program: string, ...args: string[]): void {
  console.log(`${isDryRun ? "would run" : "runs"}: ${[program, ...args].map(quoted).join(" ")}`);
  if (!isDryRun) execFileSync(program, args, { cwd: root, stdio: "inherit" });
}

function quoted(argument: string): string {
  return /^[\w./:=-]+$/.test(argument) ? argument : `'${argument}'`;
}

function release(version: string): void {
  const tag = `v${version}`;
  const branch = output("git", "branch", "--show-current");
  if (output("git", "status", "--porcelain") !== "")
    throw new Error("the work tree has changes; commit or stash them first (`git status`)");
  if (output("git", "tag", "--list", tag) !== "") throw new Error(`the tag ${tag} exists; give another version`);
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const edits = planRelease(version, read, new Date().toISOString().slice(0, 10));

  step("npm", "run", "-s", "check");
  for (const { path, text } of edits) {
    if (text === read(path)) continue;
    console.log(`${isDryRun ? "would write" : "writes"}: ${path}`);
    if (!isDryRun) writeFileSync(join(root, path), text);
  }
  step("git", "commit", "--quiet", "--all", "--message", `release: ${tag}`);
  step("git", "tag", "--annotate", tag, "--message", `Forescale ${version}`);
  if (builder !== "none") step(builder, "build", "--tag", `forescale:${version}`, "--file", "Containerfile", ".");
  console.log("There is no Helm chart yet, so none is released.");
  console.log(`To publish: git push origin ${branch} ${tag}`);
  if (builder !== "none") console.log(`            ${builder} push forescale:${version} REGISTRY/forescale:${version}`);
}

try {
  const [version, ...rest] = positionals;
  if (version === undefined || rest.length > 0)
    throw new Error("give one version, as in `npm run release -- --dry-run 1.2.0`");
  release(version);
} catch (error) {
  console.error(`release: ${(error as Error).message}`);
  process.exitCode = 1;
}
