import { join } from "node:path";
import { frontProxyUser } from "./pki.ts";

/** The processes of a control plane, in the order of their start. */
export const components = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"] as const;

/** One process of a control plane. */
export type Component = (typeof components)[number];

/** Flags that a test may add, for each component; a later flag wins over the fixture's own. */
export type ExtraFlags = Readonly<Partial<Record<Component, readonly string[]>>>;

/** Where the parts of one control plane listen, on loopback. */
export interface Ports {
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly apiserver: number;
  readonly controllerManager: number;
  readonly scheduler: number;
}

/** What the command lines depend on. */
export interface Layout {
  readonly dir: string;
  readonly ports: Ports;
  readonly hpaSyncSeconds: number;
}

/** Each component's command line, without what a test adds. */
export function commandLines({ dir, ports, hpaSyncSeconds }: Layout): Record<Component, string[]> {
  const pki = (name: string) => join(dir, "pki", name);
  const etcd = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  const asClient = (name: string, port: number) => [
    `--kubeconfig=${pki(`${name}.kubeconfig`)}`,
    `--authentication-kubeconfig=${pki(`${name}.kubeconfig`)}`,
    `--authorization-kubeconfig=${pki(`${name}.kubeconfig`)}`,
    "--leader-elect=false",
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${join(dir, name)}`,
  ];
  return {
    etcd: [
      `--data-dir=${join(dir, "etcd")}`,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      // The data lives as long as the test does.
      "--unsafe-no-fsync",
      "--log-level=warn",
    ],
    "kube-apiserver": [
      `--etcd-servers=${etcd}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${ports.apiserver}`,
      // Loopback may not be advertised, and nobody reads what is: kwok's pods do not run.
      "--advertise-address=10.96.0.1",
      "--endpoint-reconciler-type=none",
      "--service-cluster-ip-range=10.96.0.0/16",
      `--tls-cert-file=${pki("apiserver.crt")}`,
      `--tls-private-key-file=${pki("apiserver.key")}`,
      `--client-ca-file=${pki("ca.crt")}`,
      `--service-account-key-file=${pki("service-accounts.pub")}`,
      `--service-account-signing-key-file=${pki("service-accounts.key")}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      "--authorization-mode=Node,RBAC",
      "--allow-privileged=true",
      // Aggregation. Routing straight to endpoints stands in for the kube-proxy that is not there.
      "--enable-aggregator-routing=true",
      `--requestheader-client-ca-file=${pki("front-proxy-ca.crt")}`,
      `--requestheader-allowed-names=${frontProxyUser}`,
      "--requestheader-username-headers=X-Remote-User",
      "--requestheader-uid-headers=X-Remote-Uid",
      "--requestheader-group-headers=X-Remote-Group",
      "--requestheader-extra-headers-prefix=X-Remote-Extra-",
      `--proxy-client-cert-file=${pki("front-proxy.crt")}`,
      `--proxy-client-key-file=${pki("front-proxy.key")}`,
      // For \`kubectl logs\` and \`exec\` on a real node.
      `--kubelet-client-certificate=${pki("admin.crt")}`,
      `--kubelet-client-key=${pki("admin.key")}`,
      "--kubelet-preferred-address-types=InternalIP",
    ],
    "kube-controller-manager": [
      ...asClient("controller-manager", ports.controllerManager),
      `--service-account-private-key-file=${pki("service-accounts.key")}`,
      `--root-ca-file=${pki("ca.crt")}`,
      "--use-service-account-credentials=true",
      // Its start alone makes hundreds of calls; at the default rate of 20 a second it takes 4 s longer.
      "--kube-api-qps=200",
      "--kube-api-burst=400",
      `--horizontal-pod-autoscaler-sync-period=${hpaSyncSeconds}s`,
    ],
    "kube-scheduler": asClient("scheduler", ports.scheduler),
    kwok: [
      `--kubeconfig=${pki("admin.kubeconfig")}`,
      `--config=${join(import.meta.dirname, "stages.yaml")}`,
      "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
      // Without leases the controller manager holds each node for dead after 50 s.
      "--node-lease-duration-seconds=40",
      "--cidr=10.97.0.1/16",
      "--node-ip=10.98.0.1",
    ],
  };
}
