import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, resources } from "../../kube/client/resource.ts";
import type { Log } from "../../kube/log.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import { Reflector } from "../../kube/watch/reflector.ts";
import { type AuthenticationConfig, readAuthenticationConfig } from "./authentication-config.ts";

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** The cluster's word on whom to believe, kept up to date. */
export interface ClusterAuthentication {
  /** Undefined until it was read once. A later state that can't be read leaves the one before in force. */
  readonly config: AuthenticationConfig | undefined;
  readonly done: Promise<void>;
}

export interface ClusterAuthenticationOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called at each change after the first: connections of before should be made anew. */
  readonly onChange?: () => void;
}

const namespace = "kube-system";
const name = "extension-apiserver-authentication";

/** Watches the ConfigMap in which the API server says how its own requests are to be recognised. */
export function watchAuthentication(options: ClusterAuthenticationOptions): ClusterAuthentication {
  const { client, clock, log, signal, onChange } = options;
  let config: AuthenticationConfig | undefined;
  let lastData = "";
  const reflector = new Reflector<ConfigMap>({
    client,
    clock,
    log,
    resource: resources.configMaps,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    resyncMs: 0,
  });
  reflector.onChange(({ type, object }) => {
    // A deleted ConfigMap is no new configuration: deleting it must neither lock everyone out nor let anyone in.
    if (type === "Deleted")
      return log.warn("the configuration of authentication was deleted; the last one holds", { name });
    const data = JSON.stringify(object.data ?? {});
    if (data === lastData) return;
    try {
      const read = readAuthenticationConfig(object.data ?? {});
      const isFirst = config === undefined;
      config = read;
      lastData = data;
      log.info("configuration of authentication read", {
        frontProxyAuthorities: read.frontProxy?.authorities.length ?? 0,
        clientAuthorities: read.clientAuthorities.length,
      });
      if (!isFirst) onChange?.();
    } catch (error) {
      log.error("the configuration of authentication can't be read; the last one holds", {
        configMap: `${namespace}/${name}`,
        error: (error as Error).message,
      });
    }
  });
  return {
    get config() {
      return config;
    },
    done: reflector.start(signal),
  };
}
