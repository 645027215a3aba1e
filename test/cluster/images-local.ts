import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Layer, LocalImage } from "./images.ts";

const root = join(import.meta.dirname, "..", "..");
const apps = join(import.meta.dirname, "apps");
const projectNode = join(root, "node_modules", "node", "bin", "node");

/** Names of the images that a real node has, or can be given. */
export const imageNames = {
  pause: "localhost/pause:1",
  busybox: "localhost/busybox:1",
  node: "localhost/forescale-node:1",
  java: "localhost/forescale-java:1",
} as const;

/** What keeps a pod's namespaces: waits for signals, and for the processes that nobody else waits for. */
const pauseSource = `
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGINT, leave);
  signal(SIGTERM, leave);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
`;

/** One sentence on why the images of every node cannot be made here; undefined when they can. */
export function whyNoImages(): string | undefined {
  if (!answers("gcc", "--version")) return "There is no C compiler for the pause image (packages gcc and libc6-dev).";
  if (!answers("tar", "--version")) return "There is no tar.";
  if (!busybox()) return "There is no busybox that needs no libraries (package busybox-static).";
  return undefined;
}

/** One sentence on why there can be no image with Java here; undefined when there can. */
export function whyNoJavaImage(): string | undefined {
  return answers("java", "-version") ? undefined : "There is no java (package default-jre-headless).";
}

/** Compiles the pause program, static, and gives its path. */
export function makePause(dir: string): string {
  const program = join(dir, "pause");
  execFileSync("gcc", ["-static", "-O2", "-x", "c", "-", "-o", program], { input: pauseSource });
  return program;
}

/** The image of every pod's sandbox, of a program that {@link makePause} made. */
export function pauseImage(program: string): LocalImage {
  const layer = { from: dirname(program), paths: ["pause"] };
  return { name: imageNames.pause, layers: [layer], entrypoint: ["/pause"] };
}

/** A shell with the usual tools. */
export function busyboxImage(dir: string): LocalImage {
  return { name: imageNames.busybox, layers: [baseLayer(dir)], entrypoint: ["/bin/sh"] };
}

/**
 * The project's own Node, the project in `/app` as the released image has it, and the test applications in `/apps`.
 *
 * @param extra more layers, such as a native helper at the place where the released image has it
 */
export function nodeImage(dir: string, extra: readonly Layer[] = []): LocalImage {
  const binary = { from: dirname(projectNode), paths: ["node"], at: "usr/local/bin/" };
  const libraries = { from: "/", paths: librariesOf([projectNode]) };
  const project = { from: root, paths: ["package.json", "src", ...productionPackages()], at: "app/" };
  const testApps = { from: apps, paths: ["checked-store.ts"], at: "apps/" };
  return {
    name: imageNames.node,
    layers: [baseLayer(dir), binary, libraries, project, testApps, ...extra],
    entrypoint: ["node", "--disable-warning=ExperimentalWarning", "src/main.ts"],
    workingDir: "/app",
  };
}

/** This machine's JVM, and the test application in `/apps`. */
export function javaImage(dir: string): LocalImage {
  const home = dirname(
    dirname(realpathSync(execFileSync("sh", ["-c", "command -v java"], { encoding: "utf8" }).trim())),
  );
  const classes = join(dir, "classes");
  // A runtime without the JDK's tools has their compiler all the same.
  const source = join(apps, "CheckedStore.java");
  execFileSync(join(home, "bin", "java"), ["-m", "jdk.compiler/com.sun.tools.javac.Main", "-d", classes, source]);
  const loaded = ["libjava", "libjimage", "libnet", "libnio", "libzip", "server/libjvm"];
  const programs = [join(home, "bin", "java"), ...loaded.map((name) => join(home, "lib", `${name}.so`))];
  const inRoot = (path: string) => path.slice(1);
  const outside = librariesOf(programs).filter((path) => !path.startsWith(inRoot(home)));
  const runtime = {
    from: "/",
    paths: [...["bin", "conf", "lib"].map((name) => inRoot(join(home, name))), ...outside],
    exclude: ["*/lib/src.zip", "*/lib/ct.sym", "*.jsa"],
  };
  return {
    name: imageNames.java,
    layers: [baseLayer(dir), runtime, { from: classes, paths: ["."], at: "apps/" }],
    entrypoint: [join(home, "bin", "java")],
    env: { JAVA_HOME: home },
    workingDir: "/apps",
  };
}

/** The shell, its tools, and the few folders that programs expect: the same first layer in all images. */
function baseLayer(dir: string): Layer {
  const from = join(dir, "base");
  if (!existsSync(from)) {
    for (const folder of ["bin", "dev", "etc", "proc", "run", "sys", "tmp"])
      mkdirSync(join(from, folder), { recursive: true });
    chmodSync(join(from, "tmp"), 0o1777);
    writeFileSync(join(from, "etc", "passwd"), "root:x:0:0:root:/tmp:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n");
    copyFileSync(busybox()!, join(from, "bin", "busybox"));
    const tools = execFileSync(busybox()!, ["--list"], { encoding: "utf8" }).split("\n");
    for (const tool of tools) if (tool && tool !== "busybox") symlinkSync("busybox", join(from, "bin", tool));
  }
  return { from, paths: ["bin", "dev", "etc", "proc", "run", "sys", "tmp"], keepLinks: true };
}

/** Paths, without their first slash, of all that the dynamic linker loads for these programs, itself included. */
function librariesOf(programs: readonly string[]): string[] {
  const found = programs.flatMap((program) => {
    const listed = execFileSync("ldd", [program], { encoding: "utf8" });
    return [...listed.matchAll(/(?:=> |^\s*)\/(\S+) \(0x/gm)].map(([, path]) => path);
  });
  return [...new Set(found)];
}

/** Folders of the packages that the released image has: all of the lock file that are not for development, but Node. */
function productionPackages(): string[] {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries<{ dev?: boolean }>(packages)
    .filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev)
    .map(([path]) => path)
    .filter((path) => !/^node_modules\/node(-bin-setup|-linux-.*)?$/.test(path) && existsSync(join(root, path)));
}

function busybox(): string | undefined {
  const path = ["/bin/busybox", "/usr/bin/busybox"].find((each) => existsSync(each));
  // ldd fails for a program that needs no libraries.
  return path && spawnSync("ldd", [path], { stdio: "ignore" }).status !== 0 ? path : undefined;
}

function answers(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}
