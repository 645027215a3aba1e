import { writeFileSync } from "node:fs";
import type { Identity } from "./pki.ts";

/** Writes a kubeconfig (JSON, which is YAML) for one user of one API server, readable by its owner only. */
export function writeKubeconfig(path: string, server: string, authority: string, user: Identity): void {
  const base64 = (pem: string) => Buffer.from(pem).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority-data": base64(authority) } }],
    users: [
      {
        name: "test",
        user: { "client-certificate-data": base64(user.certificate), "client-key-data": base64(user.key) },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}
