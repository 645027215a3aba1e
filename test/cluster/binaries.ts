import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const moduleDir = join(import.meta.dirname, "go");
const kubernetesVersion = readFileSync(join(moduleDir, "go.mod"), "utf8").match(/k8s\.io\/kubernetes (v[\d.]+)/)![1];
const kwokModule = "sigs.k8s.io/kwok/cmd/kwok@v0.8.0";
const testAdapterModule = "sigs.k8s.io/custom-metrics-apiserver/test-adapter@v1.33.0";
/** A lock whose holder has not touched it for this long was left behind by a process that died. */
const staleAfterMs = 30_000;

// A server without a version takes itself for v0.0 and gates its features wrongly.
const [, major, minor] = kubernetesVersion.match(/v(\d+)\.(\d+)/)!;
const ldflags = [
  "-s -w",
  `-X k8s.io/component-base/version.gitVersion=${kubernetesVersion}`,
  `-X k8s.io/component-base/version.gitMajor=${major}`,
  `-X k8s.io/component-base/version.gitMinor=${minor}`,
  `-X k8s.io/client-go/pkg/version.gitVersion=${kubernetesVersion}`,
].join(" ");

/** What `go` is told to make each binary; a path without a version is one of our own module. */
const recipes = {
  etcd: "./etcd",
  "kube-apiserver": "./kube-apiserver",
  "kube-controller-manager": "./kube-controller-manager",
  "kube-scheduler": "./kube-scheduler",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
  kwok: kwokModule,
  kubelet: "./kubelet",
  "test-adapter": testAdapterModule,
};

/** A program that the fixture can build. */
export type Binary = keyof typeof recipes;

/** The folder with the built programs, and the path of each in it. */
export interface Binaries {
  readonly dir: string;
  path(name: Binary): string;
}

const controlPlane: readonly Binary[] = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubectl",
  "kwok",
];

/**
 * Builds what the cache folder lacks of the control plane's programs, and of the kubelet when asked.
 *
 * Takes minutes on a cold cache and nothing on a warm one. Safe when several processes start at once: one builds, the
 * others wait.
 *
 * @throws Error with the end of Go's own message when a build fails
 */
export async function ensureBinaries(options: { kubelet?: boolean } = {}): Promise<Binaries> {
  return ensure(options.kubelet ? [...controlPlane, "kubelet"] : controlPlane);
}

/** Builds the upstream sample adapter, which only the bench needs, and gives its path. */
export async function ensureTestAdapter(): Promise<string> {
  return (await ensure(["test-adapter"])).path("test-adapter");
}

/** Whether the control plane's programs, and the kubelet when asked, are in the cache already, so that no Go toolchain is needed. */
export function hasBinaries(options: { kubelet?: boolean } = {}): boolean {
  const names: readonly Binary[] = options.kubelet ? [...controlPlane, "kubelet"] : controlPlane;
  return names.every((name) => existsSync(join(cacheDir(), name)));
}

/** Whether `go` can be run. */
export function hasGo(): boolean {
  return spawnSync("go", ["version"], { stdio: "ignore" }).status === 0;
}

async function ensure(names: readonly Binary[]): Promise<Binaries> {
  const dir = cacheDir();
  const missing = () => names.filter((name) => !existsSync(join(dir, name)));
  if (missing().length > 0) {
    mkdirSync(dir, { recursive: true });
    const unlock = await lock(join(dir, ".lock"));
    try {
      for (const name of missing()) await build(name, dir);
    } finally {
      unlock();
    }
  }
  return { dir, path: (name) => join(dir, name) };
}

/** One folder per state of the module, so that a checkout of another commit neither spoils nor repeats a build. */
function cacheDir(): string {
  const hash = createHash("sha256").update(JSON.stringify([recipes, ldflags, process.arch]));
  for (const file of readdirSync(moduleDir, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(moduleDir, file);
    if (statSync(path).isFile()) hash.update(file).update(readFileSync(path));
  }
  const base =
    process.env.FORESCALE_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "forescale");
  return join(base, `cluster-${hash.digest("hex").slice(0, 12)}`);
}

async function build(name: Binary, dir: string): Promise<void> {
  const startedMs = Date.now();
  process.stderr.write(`cluster fixture: building ${name} …\n`);
  // Made beside its place and then renamed: a program that is there is always whole.
  const unfinished = join(dir, `.unfinished-${process.pid}`);
  mkdirSync(unfinished, { recursive: true });
  try {
    const target = recipes[name];
    // `go install` of a version ignores our module, whose dependencies differ from theirs.
    if (target.includes("@")) await go(["install", "-trimpath", "-ldflags", "-s -w", target], { GOBIN: unfinished });
    else await go(["build", "-trimpath", "-mod=readonly", "-ldflags", ldflags, "-o", join(unfinished, name), target]);
    renameSync(join(unfinished, name), join(dir, name));
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  process.stderr.write(`cluster fixture: built ${name} in ${Math.round((Date.now() - startedMs) / 1000)} s\n`);
}

function go(args: string[], env: Record<string, string> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("go", args, {
      cwd: moduleDir,
      env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off", ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let messages = "";
    child.stderr.on("data", (chunk) => {
      messages = (messages + chunk).slice(-4000);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`go ${args.join(" ")} ended with ${code}:\n${messages}`));
    });
  });
}

/**
 * Waits for the lock and gives the function that frees it. Two may get it at once when both find it stale; they then
 * build the same thing twice, and the renames keep that harmless.
 */
async function lock(path: string): Promise<() => void> {
  for (let waited = false; ; waited = true) {
    try {
      mkdirSync(path);
      const beat = setInterval(() => utimesSync(path, new Date(), new Date()), staleAfterMs / 6);
      return () => {
        clearInterval(beat);
        rmSync(path, { recursive: true, force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (!waited) process.stderr.write("cluster fixture: another process is building, waiting for it …\n");
    await sleep(300);
    const touchedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (touchedMs !== undefined && Date.now() - touchedMs > staleAfterMs)
      rmSync(path, { recursive: true, force: true });
  }
}
