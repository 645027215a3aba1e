/** Name of the sidecar among a pod's init containers. */
export const sidecarName = "forescale-sidecar";

/** The one port that a sidecar listens on: the kubelet's probes. */
export const probePort = 15_981;

/** Where a sidecar finds its files; each folder is mounted in no other container. */
export const sidecarPaths = {
  /** On the node's disk: encrypted images of the application's memory, and the journal. */
  state: "/var/lib/forescale",
  /** Made by the hook that the kubelet runs first when it ends the container, before the application hears of it. */
  leaving: "/var/lib/forescale/leaving",
  /** In memory: the key of the images, so that a sidecar that is started again goes on. */
  key: "/run/forescale/key",
  /**
   * Our token with the pod's labels and annotations, as they are now. It stands where the API server's credentials
   * would: a container with something there already is given none, and the sidecar needs none.
   */
  identity: "/var/run/secrets/kubernetes.io/serviceaccount",
  token: "/var/run/secrets/kubernetes.io/serviceaccount/token",
  labels: "/var/run/secrets/kubernetes.io/serviceaccount/labels",
  annotations: "/var/run/secrets/kubernetes.io/serviceaccount/annotations",
} as const;

/** What a sidecar reads from its environment. */
export const sidecarEnvironment = {
  /** `host:port` of the gateway. */
  server: "FORESCALE_SERVER",
  /** Name in the gateway's certificate, where it is not the host. */
  serverName: "FORESCALE_SERVER_NAME",
  /** Authorities of the gateway's certificate at the pod's creation, PEM. */
  authorities: "FORESCALE_AUTHORITIES",
  /** The pod's probes, see `readProbeTargets`. */
  probes: "FORESCALE_PROBES",
  /** `true` where the sidecar has the capabilities of swap mode. */
  swap: "FORESCALE_SWAP",
  podName: "POD_NAME",
  podNamespace: "POD_NAMESPACE",
  podUid: "POD_UID",
} as const;

/** The sidecar's volumes, by what they hold. */
export const sidecarVolumes = {
  state: "forescale-state",
  key: "forescale-key",
  identity: "forescale-identity",
} as const;

/** Seconds that the sidecar's token is good for; the kubelet renews it at four fifths. */
export const tokenSeconds = 3600;
