import { spawnSync } from "node:child_process";
import { hasBinaries, hasGo } from "./binaries.ts";

/** The kubeconfig of a person's own cluster, which suites then use instead of starting one. */
export function externalKubeconfig(): string | undefined {
  return process.env.FORESCALE_TEST_KUBECONFIG || undefined;
}

/** One sentence on why no cluster can be had here; undefined when one can. */
export function whyNoCluster(): string | undefined {
  if (externalKubeconfig()) {
    if (!runs("kubectl", "version", "--client")) return "FORESCALE_TEST_KUBECONFIG is set but there is no kubectl.";
    return undefined;
  }
  return whyNoControlPlane();
}

/** One sentence on why no control plane of our own can be started here; undefined when one can. */
export function whyNoControlPlane(): string | undefined {
  if (process.platform !== "linux") return `The control plane runs on Linux only, and this is ${process.platform}.`;
  if (!runs("setpriv", "--pdeathsig", "KILL", "true")) return "There is no setpriv (package util-linux).";
  if (!hasBinaries() && !hasGo()) return "There is no Go toolchain to build the control plane with.";
  return undefined;
}

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}
