import { lookup } from "node:dns/promises";
import type { SecretKeyRef } from "../../api/kinds/metric-source.ts";
import type { AddressPolicy } from "../../collect/http/address.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/client/kube-error.ts";
import { type KubeObject, resources } from "../../kube/client/resource.ts";

/** Refuses the API server's own addresses to metric sources and external programs; loopback is left to the policy. */
export async function withoutApiServer(policy: AddressPolicy, { hostname }: URL): Promise<AddressPolicy> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const found = await lookup(host, { all: true }).catch(() => []);
  const own = found.map(({ address }) => address).filter((address) => !isLoopback(address));
  return { ...policy, refused: [...(policy.refused ?? []), ...own] };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/**
 * Reads one key of a Secret.
 *
 * @param own the controller's namespace, the only one whose Secrets it may read by default
 * @throws KubeError NotFound, with a message that names the Secret
 */
export async function readSecret(
  client: KubeClient,
  own: string,
  { namespace, name, key }: SecretKeyRef,
): Promise<string> {
  let secret: KubeObject & { data?: Record<string, string> };
  try {
    secret = await client.get(resources.secrets, { namespace, name });
  } catch (error) {
    const hint =
      namespace === own
        ? ""
        : `; the controller may read Secrets of namespace ${own} only: keep the Secret there, or grant the controller get on it`;
    throw new KubeError("NotFound", `Secret ${namespace}/${name} cannot be read: ${(error as Error).message}${hint}`);
  }
  const value = secret.data?.[key];
  if (value === undefined) throw new KubeError("NotFound", `Secret ${namespace}/${name} has no key ${key}`);
  return Buffer.from(value, "base64").toString("utf8");
}
