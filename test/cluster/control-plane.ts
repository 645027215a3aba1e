import { mkdirSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { externalKubeconfig, whyNoControlPlane } from "./available.ts";
import { ensureBinaries } from "./binaries.ts";
import { type Component, commandLines, components, type ExtraFlags } from "./components.ts";
import { addHostAddresses } from "./host-addresses.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { type Kubectl, kubectlFor } from "./kubectl.ts";
import { makeRunFolder, onUnexpectedExit, removeRunFolder } from "./leftovers.ts";
import { type ClientCertificateOptions, makePki, type Pki } from "./pki.ts";
import { freePorts, type Running, run, waitFor } from "./processes.ts";

/** What every test can do with a cluster, our own or a person's. */
export interface Cluster {
  /** The path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  readonly kubectl: Kubectl;
  /** Ends what was started for it; a person's own cluster is left alone. */
  stop(): Promise<void>;
}

/** A control plane of our own. */
export interface ControlPlane extends Cluster {
  /** The API server's URL. */
  readonly url: string;
  /** The folder that holds all its files until it is stopped. */
  readonly dir: string;
  /** The folder with a log for each component. */
  readonly logs: string;
  readonly pki: Pki;
  /** Makes a certificate for a user and gives the path of a kubeconfig with it. */
  kubeconfigFor(user: ClientCertificateOptions): Promise<string>;
  /** Addresses of an interface of this control plane's own, which may stand in an EndpointSlice as loopback may not. */
  hostAddresses(count: number): Promise<string[]>;
  /** Sends a component a signal, SIGKILL unless given, and waits for its end (with SIGSTOP until it is stopped, with SIGCONT until it runs). */
  kill(component: Component, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a component again that was killed, on its old port with its old data, and waits until it answers. */
  start(component: Component): Promise<void>;
  killApiserver(): Promise<void>;
  startApiserver(): Promise<void>;
  /** The pids of the components that run now. */
  pids(): number[];
}

/** How a control plane differs from the usual. */
export interface ControlPlaneOptions {
  /** How often the native HPA looks at each target; 2 s unless given, where Kubernetes itself has 15 s. */
  readonly hpaSyncSeconds?: number;
  readonly flags?: ExtraFlags;
  /** Where its files go, empty or absent and removed in the end; a private temporary folder unless given. */
  readonly dir?: string;
}

/** The cluster of FORESCALE_TEST_KUBECONFIG, or a control plane of our own. */
export async function startCluster(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const kubeconfig = externalKubeconfig();
  if (!kubeconfig) return startControlPlane(options);
  return { kubeconfig, kubectl: kubectlFor("kubectl", kubeconfig), stop: async () => {} };
}

/**
 * Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on free ports of loopback, building
 * them first where the cache lacks them. Pods can be created as soon as it returns.
 *
 * @throws Error when it cannot be had here, or when a component ends or does not answer; with the end of its log
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const reason = whyNoControlPlane();
  if (reason) throw new Error(reason);
  const binaries = await ensureBinaries();
  const dir = makeRunFolder("cluster", options.dir);
  const logs = join(dir, "logs");
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const running = new Map<Component, Running>();
  const undo: (() => void)[] = [() => removeRunFolder(dir)];
  const undoAll = () => undo.toReversed().forEach((step) => void step());
  const forget = onUnexpectedExit(() => {
    for (const each of running.values()) if (each.isAlive()) process.kill(each.pid, "SIGKILL");
    undoAll();
  });

  const pki = await makePki(join(dir, "pki"));
  const [etcd, etcdPeer, apiserver, controllerManager, scheduler] = await freePorts(5);
  const ports = { etcd, etcdPeer, apiserver, controllerManager, scheduler };
  const url = `https://127.0.0.1:${apiserver}`;
  for (const user of ["admin", "controller-manager", "scheduler"] as const)
    writeKubeconfig(join(pki.dir, `${user}.kubeconfig`), url, pki.clusterAuthority.certificate, pki.identities[user]);
  const kubeconfig = join(pki.dir, "admin.kubeconfig");

  const lines = commandLines({ dir, ports, hpaSyncSeconds: options.hpaSyncSeconds ?? 2 });
  const answers: Partial<Record<Component, () => Promise<boolean>>> = {
    "kube-apiserver": () => isOk(pki, apiserver, "/readyz"),
    "kube-controller-manager": () => isOk(pki, controllerManager, "/healthz"),
    "kube-scheduler": () => isOk(pki, scheduler, "/healthz"),
  };
  const logOf = (component: Component) => join(logs, `${component}.log`);
  const alive = (component: Component) => running.get(component)?.isAlive() ?? false;
  async function launch(component: Component): Promise<void> {
    if (alive(component)) return;
    const args = [...lines[component], ...(options.flags?.[component] ?? [])];
    running.set(component, await run(binaries.path(component), args, logOf(component)));
  }
  async function answering(component: Component): Promise<void> {
    const probe = answers[component];
    const waiting = { alive: () => alive(component), logFile: logOf(component) };
    if (probe) await waitFor(`${component} to answer`, probe, waiting);
  }
  const kill = async (component: Component, signal: NodeJS.Signals = "SIGKILL") =>
    running.get(component)?.signal(signal);
  const start = async (component: Component) => {
    await launch(component);
    await answering(component);
  };
  let stopping: Promise<void> | undefined;
  async function stopAll(): Promise<void> {
    // Killed, not asked: the API server would wait a minute for its watches, and the data goes with it.
    for (const component of components.toReversed()) await kill(component);
    forget();
    undoAll();
  }
  const stop = () => (stopping ??= stopAll());

  try {
    await Promise.all([launch("etcd"), launch("kube-apiserver")]);
    await answering("kube-apiserver");
    await Promise.all((["kube-controller-manager", "kube-scheduler", "kwok"] as const).map(start));
    // No pod can be created before its namespace has this account.
    const account = "/api/v1/namespaces/default/serviceaccounts/default";
    await waitFor("the default service account", () => isOk(pki, apiserver, account));
  } catch (error) {
    await stop();
    throw error;
  }

  let users = 0;
  return {
    url,
    dir,
    logs,
    pki,
    kubeconfig,
    kubectl: kubectlFor(binaries.path("kubectl"), kubeconfig),
    async kubeconfigFor(user) {
      const path = join(pki.dir, `user-${++users}.kubeconfig`);
      writeKubeconfig(path, url, pki.clusterAuthority.certificate, await pki.clientCertificate(user));
      return path;
    },
    async hostAddresses(count) {
      const { addresses, remove } = await addHostAddresses(count);
      undo.push(remove);
      return addresses;
    },
    kill,
    start,
    killApiserver: () => kill("kube-apiserver"),
    startApiserver: () => start("kube-apiserver"),
    pids: () => [...running.values()].filter((each) => each.isAlive()).map((each) => each.pid),
    stop,
  };
}

/** Whether the admin's GET answers 200. The server's name is not checked: the components sign their own. */
function isOk(pki: Pki, port: number, path: string): Promise<boolean> {
  const { certificate, key } = pki.identities.admin;
  const agent = new Agent({ cert: certificate, key, rejectUnauthorized: false, keepAlive: false });
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, agent, timeout: 2000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    call.on("timeout", () => call.destroy(new Error("no answer within 2 s"))).on("error", reject);
    call.end();
  });
}
