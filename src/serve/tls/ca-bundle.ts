import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { type KubeObject, type Resource, resources } from "../../kube/client/resource.ts";
import { apiServiceName, injectionName, validationName } from "../names.ts";

/** The Service by which the API server finds us. */
export interface ServiceReference {
  readonly namespace: string;
  readonly name: string;
}

/** How a registration stands after a look at it. */
export type BundleState =
  /** It had our bundle, or has it now. */
  | { readonly kind: "Published"; readonly wasRepaired: boolean }
  /** There is none: nothing calls us this way. */
  | { readonly kind: "Absent" }
  /** It names another Service; it is left alone. */
  | { readonly kind: "Foreign"; readonly owner: string };

interface ClientConfig {
  readonly caBundle?: string;
  readonly service?: Partial<ServiceReference>;
}

interface ApiService extends KubeObject {
  readonly spec?: ClientConfig & { readonly insecureSkipTLSVerify?: boolean };
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: ClientConfig }[];
}

const admissionregistration = { group: "admissionregistration.k8s.io", version: "v1", namespaced: false };
const configurations = {
  Validating: {
    name: validationName,
    resource: {
      ...admissionregistration,
      plural: "validatingwebhookconfigurations",
      kind: "ValidatingWebhookConfiguration",
    },
  },
  Mutating: {
    name: injectionName,
    resource: {
      ...admissionregistration,
      plural: "mutatingwebhookconfigurations",
      kind: "MutatingWebhookConfiguration",
    },
  },
} as const satisfies Record<string, { name: string; resource: Resource }>;

/** Keeps the caBundle of our APIService right, and never touches one that names another's Service. */
export async function publishToApiService(
  client: KubeClient,
  service: ServiceReference,
  bundle: string,
): Promise<BundleState> {
  const key = { namespace: "", name: apiServiceName };
  const found = await findExempt<ApiService>(client, resources.apiServices, key);
  if (!found) return { kind: "Absent" };
  const owner = found.spec?.service;
  if (!isOurs(owner, service)) return { kind: "Foreign", owner: describeOwner(owner) };
  const caBundle = Buffer.from(bundle).toString("base64");
  if (found.spec?.caBundle === caBundle && !found.spec.insecureSkipTLSVerify)
    return { kind: "Published", wasRepaired: false };
  const { resourceVersion } = found.metadata;
  const patch = { metadata: { resourceVersion }, spec: { caBundle, insecureSkipTLSVerify: null } };
  await client.patch(resources.apiServices, key, "Merge", patch, { exempt: true });
  return { kind: "Published", wasRepaired: true };
}

/** The same for our webhooks of one type, each found by its Service. */
export async function publishToWebhooks(
  type: keyof typeof configurations,
  client: KubeClient,
  service: ServiceReference,
  bundle: string,
): Promise<BundleState> {
  const { name, resource } = configurations[type];
  const key = { namespace: "", name };
  const found = await findExempt<WebhookConfiguration>(client, resource, key);
  const webhooks = found?.webhooks ?? [];
  if (!found || webhooks.length === 0) return { kind: "Absent" };
  const ours = webhooks.flatMap(({ clientConfig }, index) => (isOurs(clientConfig?.service, service) ? index : []));
  if (ours.length === 0) return { kind: "Foreign", owner: describeOwner(webhooks[0].clientConfig?.service) };
  const caBundle = Buffer.from(bundle).toString("base64");
  const wrong = ours.filter((index) => webhooks[index].clientConfig?.caBundle !== caBundle);
  if (wrong.length === 0) return { kind: "Published", wasRepaired: false };
  const patch = [
    // The places count only for the object that was read: of a later one the API server says Conflict. A `test` that
    // fails would be an answer like that to any other bad patch.
    { op: "replace", path: "/metadata/resourceVersion", value: found.metadata.resourceVersion },
    ...wrong.map((index) => ({ op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle })),
  ];
  await client.patch(resource, key, "Json", patch, { exempt: true });
  return { kind: "Published", wasRepaired: true };
}

function findExempt<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  key: { namespace: string; name: string },
) {
  return client.find<T>(resource, key, { exempt: true, timeoutMs: 10_000 });
}

function isOurs(owner: Partial<ServiceReference> | undefined, service: ServiceReference): boolean {
  return owner?.name === service.name && owner.namespace === service.namespace;
}

function describeOwner(owner: Partial<ServiceReference> | undefined): string {
  return owner ? `Service ${owner.namespace}/${owner.name}` : "the API server itself";
}

/** True for a write that lost a race: the next look decides anew. */
export function isLostRace(error: unknown): boolean {
  return isKubeError(error, "Conflict", "AlreadyExists");
}
