import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, type ObjectKey, resources } from "../../kube/client/resource.ts";

interface Pod extends KubeObject {
  readonly spec?: { readonly containers?: readonly { readonly name: string; readonly image?: string }[] };
}

/**
 * The image that this server itself runs: the sidecar is another command of it, and of the same version.
 *
 * @param pod the server's own
 * @throws KubeError when the pod can't be read; Error when it has no container `server`
 */
export async function findOwnImage(client: KubeClient, pod: ObjectKey): Promise<string> {
  const found = await client.find<Pod>(resources.pods, pod, { timeoutMs: 10_000 });
  const image = found?.spec?.containers?.find(({ name }) => name === "server")?.image;
  if (image) return image;
  throw new Error(`pod ${pod.namespace}/${pod.name} has no container "server" whose image could be the sidecar's`);
}
