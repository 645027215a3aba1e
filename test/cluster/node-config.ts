import { imageNames } from "./images-local.ts";

/** What a node's programs are told. */
export interface NodeSettings {
  /** The folder of the node's files. */
  readonly dir: string;
  /** The bridge that pods are on, and the first three numbers of their addresses. */
  readonly bridge: string;
  readonly subnet: string;
  readonly kubeletPort: number;
  readonly clientAuthorityFile: string;
  readonly cgroupRoot: string;
  /** Fields of KubeletConfiguration that win over the fixture's own. */
  readonly kubelet?: Readonly<Record<string, unknown>>;
}

/** Where containerd listens, in the node's own /run. */
export const containerdSocket = "/run/containerd/containerd.sock";

/** Debian's place of the network plugins. */
export const networkPlugins = "/usr/lib/cni";

/** containerd's configuration (TOML). What it does not name stays at places that the box keeps to itself. */
export function containerdConfig({ dir }: NodeSettings): string {
  return `version = 2
root = ${JSON.stringify(`${dir}/containerd`)}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${imageNames.pause}"
  # Without CAP_SYS_RESOURCE a sandbox cannot be spared more than its parent is.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${networkPlugins}"
    conf_dir = ${JSON.stringify(`${dir}/cni`)}
`;
}

/** The network of the pods: addresses that this host reaches through the bridge, which is there already. */
export function networkConfig({ bridge, subnet }: NodeSettings): object {
  const gateway = `${subnet}.1`;
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: `${subnet}.0/24`, gateway }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  // Neither a gateway nor masquerading of the plugin's: both would change settings of the whole host.
  return {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [{ type: "bridge", bridge, isGateway: false, ipMasq: false, ipam }],
  };
}

/** The kubelet's configuration. */
export function kubeletConfig(settings: NodeSettings): object {
  const { subnet, kubeletPort, clientAuthorityFile, cgroupRoot, kubelet } = settings;
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    address: `${subnet}.1`,
    port: kubeletPort,
    healthzPort: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: clientAuthorityFile },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    // Leave to lower one's own score is not to be had everywhere.
    oomScoreAdj: 0,
    makeIPTablesUtilChains: false,
    resolvConf: "",
    // How full this machine's disk is says nothing about the test, and a local image cannot be pulled again.
    evictionHard: { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    syncFrequency: "1s",
    ...kubelet,
  };
}
