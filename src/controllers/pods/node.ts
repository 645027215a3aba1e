import type { KubeObject } from "../../kube/client/resource.ts";

/** A node: what is read of it. */
export interface Node extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: { readonly allocatable?: Readonly<Record<string, string>> };
}

/** A node without what fills it: only its zone, its room and whether it is to be emptied are read. */
export function slimNode({ metadata: { name, uid, resourceVersion, labels }, spec, status }: Node): Node {
  const { cpu, memory } = status?.allocatable ?? {};
  return {
    metadata: { name, uid, resourceVersion, labels },
    spec: { unschedulable: spec?.unschedulable },
    ...(cpu !== undefined && memory !== undefined && { status: { allocatable: { cpu, memory } } }),
  };
}
