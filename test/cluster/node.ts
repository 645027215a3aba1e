import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { externalKubeconfig, whyNoControlPlane } from "./available.ts";
import { ensureBinaries, hasBinaries, hasGo } from "./binaries.ts";
import type { ControlPlane } from "./control-plane.ts";
import { whyNoHostAddresses } from "./host-addresses.ts";
import { type LocalImage, writeArchive } from "./images.ts";
import { busyboxImage, makePause, pauseImage, whyNoImages } from "./images-local.ts";
import { makeRunFolder, onUnexpectedExit, removeRunFolder } from "./leftovers.ts";
import { startNodeBox } from "./node-box.ts";
import { addBridge } from "./node-bridge.ts";
import { makeNodeCgroups } from "./node-cgroups.ts";
import { containerdConfig, kubeletConfig, type NodeSettings, networkConfig, networkPlugins } from "./node-config.ts";
import { type NodeContainers, nodeContainers } from "./node-containers.ts";
import { freePorts, type Running, waitFor } from "./processes.ts";
import { describeControlPlane, describeUnless } from "./suite.ts";

/** A program of a node that a test may kill. */
export type NodeProgram = "containerd" | "kubelet";

/** A real kubelet with containerd and runc, beside a control plane of our own. */
export interface RealNode extends NodeContainers {
  readonly name: string;
  /** The folder that holds all its files until it is stopped; containerd.log and kubelet.log are there. */
  readonly dir: string;
  /** This host as the pods reach it: where a test's own servers listen for them. Pods' addresses are reachable. */
  readonly hostAddress: string;
  /** Makes an image known to the node; pods name it with `imagePullPolicy: Never`. */
  addImage(make: (dir: string) => LocalImage): Promise<void>;
  /** Runs `ctr` for the containers that the kubelet made. */
  ctr(...args: readonly string[]): Promise<string>;
  /** Sends a program a signal, SIGKILL unless given, and waits for its end (with SIGSTOP until it is stopped, with SIGCONT until it runs). */
  kill(program: NodeProgram, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a program again that was killed. Containers outlive both. */
  start(program: NodeProgram): Promise<void>;
  /** Ends the node with everything in its pods. The API server is not told. */
  stop(): Promise<void>;
}

/** How a node differs from the usual. */
export interface NodeOptions {
  /** `node-real` unless given. */
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Fields of KubeletConfiguration, such as `systemReserved` to leave less room for pods. */
  readonly kubelet?: Readonly<Record<string, unknown>>;
}

/** One sentence on why no real node can be had here; undefined when one can. */
export function whyNoNode(): string | undefined {
  const commands = ["containerd", "ctr", "runc"];
  const missing = commands.find((command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status !== 0);
  if (missing) return `There is no ${missing} (packages containerd and runc).`;
  if (!existsSync(join(networkPlugins, "bridge"))) return "There is no bridge (package containernetworking-plugins).";
  if (process.getuid?.() !== 0) return "A node needs root, for namespaces and control groups.";
  if (!hasBinaries({ kubelet: true }) && !hasGo()) return "There is no kubelet, and no Go to build it with.";
  return whyNoControlPlane() ?? whyNoHostAddresses() ?? whyNoImages();
}

/** A `describe` for tests that need a real node, or one more thing that `whyNot` tells about. */
export function describeNode(name: string, suite: () => void, whyNot?: () => string | undefined): void {
  if (externalKubeconfig()) describeControlPlane(name, suite);
  else describeUnless(whyNoNode() ?? whyNot?.(), name, suite);
}

let nodes = 0;

/**
 * Starts containerd and a kubelet, with the images of {@link busyboxImage} and the pods' sandbox, and waits until the
 * scheduler may use the node.
 *
 * They run in namespaces of their own, which the kernel takes apart when this process dies; see `node-box.ts`.
 *
 * @throws Error when it cannot be had here, or when a program ends or does not answer; with the end of its log
 */
export async function startNode(plane: ControlPlane, options: NodeOptions = {}): Promise<RealNode> {
  const reason = whyNoNode();
  if (reason) throw new Error(reason);
  const { name = "node-real", labels = {}, kubelet } = options;
  const binaries = await ensureBinaries({ kubelet: true });
  const number = ++nodes;
  const dir = makeRunFolder("node");
  const undo: (() => void)[] = [() => removeRunFolder(dir)];
  const undoAll = () =>
    undo
      .splice(0)
      .toReversed()
      .forEach((step) => void step());
  const forget = onUnexpectedExit(undoAll);
  const running = new Map<NodeProgram, Running>();
  try {
    const cgroups = makeNodeCgroups(number);
    undo.push(() => cgroups.remove());
    const { name: bridge, subnet, remove } = addBridge(number);
    undo.push(remove);
    const boxDir = join(dir, "box");
    mkdirSync(boxDir);
    const pause = makePause(dir);
    const box = await startNodeBox(boxDir, pause);
    undo.push(() => box.kill());

    const [kubeletPort] = await freePorts(1);
    const clientAuthorityFile = join(plane.pki.dir, "ca.crt");
    const cgroupRoot = cgroups.root;
    const settings: NodeSettings = { dir, bridge, subnet, kubeletPort, clientAuthorityFile, cgroupRoot, kubelet };
    mkdirSync(join(dir, "cni"));
    writeFileSync(join(dir, "cni", "10-pods.conflist"), JSON.stringify(networkConfig(settings)));
    writeFileSync(join(dir, "containerd.toml"), containerdConfig(settings));
    writeFileSync(join(dir, "kubelet.json"), JSON.stringify(kubeletConfig(settings), null, 2));
    const kubeconfig = await plane.kubeconfigFor({ user: `system:node:${name}`, groups: ["system:nodes"] });
    const lines: Record<NodeProgram, [string, string[]]> = {
      containerd: ["containerd", ["--config", join(dir, "containerd.toml")]],
      kubelet: [
        binaries.path("kubelet"),
        [
          `--config=${join(dir, "kubelet.json")}`,
          `--kubeconfig=${kubeconfig}`,
          `--hostname-override=${name}`,
          `--node-ip=${subnet}.1`,
          `--root-dir=${join(dir, "kubelet")}`,
          `--cert-dir=${join(dir, "kubelet-certificates")}`,
          `--node-labels=${Object.entries(labels).map(([key, value]) => `${key}=${value}`)}`,
        ],
      ],
    };
    let images = 0;
    const alive = (program: NodeProgram) => running.get(program)?.isAlive() ?? false;
    const ctr = (...args: readonly string[]) => box.run("ctr", ["--namespace=k8s.io", ...args]);
    async function start(program: NodeProgram): Promise<void> {
      const logFile = join(dir, `${program}.log`);
      if (!alive(program)) running.set(program, await box.start(...lines[program], logFile));
      const waiting = { alive: () => alive(program), logFile };
      if (program === "containerd") await waitFor("containerd to answer", async () => ctr("version"), waiting);
      else {
        await waitFor("kubelet to answer", () => isHealthy(plane, `${subnet}.1`, kubeletPort), waiting);
        await waitFor(`node ${name} to take pods`, () => isUsable(plane, name), waiting);
      }
    }
    async function addImage(make: (dir: string) => LocalImage): Promise<void> {
      const archive = join(dir, `image-${++images}.tar`);
      await writeArchive(make(dir), `${archive}.layers`, archive);
      await ctr("images", "import", archive);
      rmSync(archive);
    }

    await start("containerd");
    await addImage(() => pauseImage(pause));
    await Promise.all([addImage(busyboxImage), start("kubelet")]);

    let stopping: Promise<void> | undefined;
    return {
      name,
      dir,
      hostAddress: `${subnet}.1`,
      addImage,
      ctr,
      start,
      ...nodeContainers(plane.kubectl, ctr, cgroups, join(boxDir, "log")),
      async kill(program, signal = "SIGKILL") {
        await running.get(program)?.signal(signal);
      },
      stop: () =>
        (stopping ??= (async () => {
          await box.stop();
          forget();
          undoAll();
        })()),
    };
  } catch (error) {
    forget();
    undoAll();
    throw error;
  }
}

/** Whether the node is Ready and the controllers have taken the taints of a new one away. */
async function isUsable(plane: ControlPlane, name: string): Promise<boolean> {
  const { spec, status } = JSON.parse(await plane.kubectl(["get", "node", name, "-o", "json"]));
  const conditions: { type: string; status: string }[] = status.conditions ?? [];
  return !spec.taints && conditions.some((each) => each.type === "Ready" && each.status === "True");
}

/** Whether the kubelet itself says that it works. Its certificate is its own, so that it cannot be checked. */
function isHealthy(plane: ControlPlane, host: string, port: number): Promise<boolean> {
  const { certificate: cert, key } = plane.pki.identities.admin;
  const options = { host, port, path: "/healthz", cert, key, rejectUnauthorized: false, agent: false, timeout: 2000 };
  return new Promise((resolve, reject) => {
    const call = request(options, (answer) => resolve(answer.resume().statusCode === 200));
    call.on("timeout", () => call.destroy(new Error("no answer within 2 s"))).on("error", reject);
    call.end();
  });
}
