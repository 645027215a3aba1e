// What a fresh clone needs before any TypeScript can run. No dependency may be imported here.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const projectNode = join(root, "node_modules", "node", "bin", process.platform === "win32" ? "node.exe" : "node");
const lock = join(root, ".install.lock");
/** A lock whose holder has not touched it for this long was left behind by a process that died. */
const staleAfterMs = 30_000;

/**
 * Installs the packages of package-lock.json unless they are there. Safe when several start at once: one installs,
 * the others wait. All noise goes to stderr; ends the process with a sentence when the installation fails.
 */
export async function ensureInstalled() {
  // While somebody installs, what looks complete may not be.
  if (isInstalled() && !existsSync(lock)) return;
  const release = await takeLock();
  try {
    if (isInstalled()) return;
    process.stderr.write("forescale: installing packages (once per clone) …\n");
    // Packages' own scripts stay off; only `node` needs its script, as that is how it brings its binary.
    await npm("ci", "--ignore-scripts", "--no-fund", "--no-audit");
    await npm("rebuild", "node");
    if (!isInstalled()) fail("the packages are still incomplete after `npm ci`; see the messages above");
  } finally {
    release();
  }
}

/**
 * Runs a TypeScript file of the clone. In this very process when it is new enough (as under `npm run`, once the
 * packages are there), else in a child, whose exit code and signals are passed on.
 */
export async function runWithProjectNode(file, args) {
  const path = join(root, file);
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 24 || (major === 24 && minor >= 12)) {
    silenceExperimentalWarnings();
    const { enableCompileCache } = await import("node:module");
    enableCompileCache?.(join(root, "node_modules", ".cache", "forescale"));
    process.argv = [process.argv[0], path, ...args];
    await import(pathToFileURL(path).href);
    return;
  }
  const child = spawn(projectNode, ["--disable-warning=ExperimentalWarning", path, ...args], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`cannot start ${projectNode}: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(code ?? (signal ? 128 : 1)));
}

/** Whether every package that the lockfile wants is there in the version that it wants. */
function isInstalled() {
  const wantedFile = join(root, "package-lock.json");
  if (!existsSync(wantedFile)) return true; // a container image or a packaged copy: nothing to compare with
  const haveFile = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(haveFile) || !existsSync(projectNode)) return false;
  const wanted = JSON.parse(readFileSync(wantedFile, "utf8")).packages;
  const have = JSON.parse(readFileSync(haveFile, "utf8")).packages;
  return Object.entries(wanted).every(
    ([name, entry]) =>
      name === "" || entry.optional || entry.devOptional || entry.peer || have[name]?.version === entry.version,
  );
}

async function takeLock() {
  const owner = join(lock, `${process.pid}`);
  for (;;) {
    try {
      mkdirSync(lock);
      writeFileSync(owner, "");
      // The installation runs beside this beat, never in its way: a lock that is not touched has no holder.
      const beat = setInterval(() => utimesSync(lock, new Date(), new Date()), 3_000);
      const release = () => {
        clearInterval(beat);
        if (existsSync(owner)) rmSync(lock, { recursive: true, force: true });
      };
      process.once("exit", release);
      return release;
    } catch (error) {
      if (error.code !== "EEXIST") fail(`cannot write to ${root}: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    if (isInstalled() && !existsSync(lock)) return () => {};
    const touched = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    if (touched !== undefined && Date.now() - touched > staleAfterMs) rmSync(lock, { recursive: true, force: true });
  }
}

/** Runs npm to its end, without holding up this process. */
function npm(...args) {
  return new Promise((resolve) => {
    // A child's stdout would mix with the program's answers, so it goes to stderr too.
    const child = spawn("npm", args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
    child.once("error", (error) => fail(`npm did not start (${error.message}); Node.js and npm are needed`));
    child.once("exit", (status) => {
      if (status === 0) resolve();
      else fail(`\`npm ${args.join(" ")}\` ended with ${status}; check the network and run it again in ${root}`);
    });
  });
}

/** SQLite in Node 24 works but announces itself as experimental on every start: noise for people who run forescale. */
function silenceExperimentalWarnings() {
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name !== "ExperimentalWarning") process.stderr.write(`${warning.name}: ${warning.message}\n`);
  });
}

function fail(message) {
  process.stderr.write(`forescale: ${message}\n`);
  process.exit(1);
}
