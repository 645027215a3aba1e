import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureTestAdapter } from "../cluster/binaries.ts";
import type { ControlPlane } from "../cluster/control-plane.ts";
import { freePorts, type Running, run, waitFor } from "../cluster/processes.ts";
import { dial, type Peer } from "../unit/serve/dial.ts";

/** Path of a metric that the sample adapter serves. */
export const upstreamMetric = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric";

/** Starts the upstream library's sample adapter on loopback, with the admin's rights, as an oracle and for comparison. */
export async function startUpstream(plane: ControlPlane): Promise<{ running: Running; peer: Peer }> {
  const [port] = await freePorts(1);
  const { certificate, key } = await plane.pki.servingCertificate({ dnsNames: ["localhost"] });
  const [certFile, keyFile] = ["crt", "key"].map((end) => join(plane.dir, `upstream.${end}`));
  writeFileSync(certFile, certificate);
  writeFileSync(keyFile, key, { mode: 0o600 });
  const logFile = join(plane.logs, "upstream.log");
  const args = [`--secure-port=${port}`, "--bind-address=127.0.0.1", `--tls-cert-file=${certFile}`];
  args.push(`--tls-private-key-file=${keyFile}`);
  for (const what of ["lister", "authentication", "authorization"])
    args.push(`--${what}-kubeconfig=${plane.kubeconfig}`);
  const running = await run(await ensureTestAdapter(), args, logFile);
  const peer = { host: "127.0.0.1", port, ca: plane.pki.clusterAuthority.certificate, servername: "localhost" };
  // It is up before it knows the front proxy.
  const headers = ["X-Remote-User", "someone", "X-Remote-Group", "system:masters"];
  const frontProxy = plane.pki.identities["front-proxy"];
  const isUp = async () => (await dial(peer, { path: upstreamMetric, headers, certificate: frontProxy })).code === 200;
  await waitFor("the upstream adapter to answer", isUp, { alive: () => running.isAlive(), logFile });
  return { running, peer };
}
