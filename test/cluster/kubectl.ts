import { spawn } from "node:child_process";

/** Runs kubectl as the cluster's admin and gives what it printed; `stdin` is an object (sent as JSON) or text. */
export type Kubectl = (args: readonly string[], stdin?: string | object) => Promise<string>;

/** Makes a {@link Kubectl}, which throws with kubectl's own message when that fails. */
export function kubectlFor(binary: string, kubeconfig: string): Kubectl {
  return (args, stdin) =>
    new Promise((resolve, reject) => {
      const child = spawn(binary, args, { env: { ...process.env, KUBECONFIG: kubeconfig } });
      let [printed, messages] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (chunk) => {
        printed += chunk;
      });
      child.stderr.setEncoding("utf8").on("data", (chunk) => {
        messages += chunk;
      });
      child.on("error", reject);
      child.on("close", (code) => {
        if (code === 0) resolve(printed);
        else reject(new Error(`kubectl ${args.join(" ")} ended with ${code}: ${messages.trim()}`));
      });
      child.stdin.on("error", () => {}); // it ended without reading all: its exit code says why
      child.stdin.end(typeof stdin === "object" ? JSON.stringify(stdin) : stdin);
    });
}
