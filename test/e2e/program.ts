import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ControlPlane } from "../cluster/control-plane.ts";
import { type Running, run } from "../cluster/processes.ts";

const root = join(import.meta.dirname, "..", "..");
const namespace = "forescale-system";

/** A program of ours as a process of this host. */
export interface Program {
  /** The file with all that it printed. */
  readonly log: string;
  start(): Promise<void>;
  readonly isAlive: boolean;
  /** Waits for the end after SIGTERM and SIGKILL. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** One of our programs with the rights of its own service account, as a pod of the manifests would have. */
export async function programOf(
  plane: ControlPlane,
  command: string,
  account: string,
  args: readonly string[],
  suffix = "",
): Promise<Program> {
  // As long as somebody may play with the cluster: nobody renews it, as a kubelet would.
  const token = await plane.kubectl(["create", "token", account, "-n", namespace, "--duration=720h"]);
  const kubeconfig = join(plane.dir, `${account}${suffix}.kubeconfig`);
  const authority = plane.pki.clusterAuthority.certificate;
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
      clusters: [
        {
          name: "k",
          cluster: { server: plane.url, "certificate-authority-data": Buffer.from(authority).toString("base64") },
        },
      ],
      users: [{ name: "u", user: { token: token.trim() } }],
    }),
    { mode: 0o600 },
  );
  const log = join(plane.logs, `forescale-${command}${suffix}.log`);
  let running: Running | undefined;
  return {
    log,
    async start() {
      running = await run(
        process.execPath,
        [join(root, "bin", "forescale.mjs"), command, `--kubeconfig=${kubeconfig}`, ...args],
        log,
      );
    },
    get isAlive() {
      return running?.isAlive() ?? false;
    },
    async kill(signal: NodeJS.Signals) {
      await running?.signal(signal);
      running = undefined;
    },
  };
}
