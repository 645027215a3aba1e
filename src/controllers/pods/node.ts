import type { KubeObject } from "../../kube/client/resource.ts";

/** The fields of a node that are read. */
export interface Node extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: { readonly allocatable?: Readonly<Record<string, string>> };
}

/** Drops what no controller reads of a node: its zone, its room and whether it is cordoned stay. */
export function slimNode({ metadata: { name, uid, resourceVersion, labels }, spec, status }: Node): Node {
  const { cpu, memory } = status?.allocatable ?? {};
  return {
    metadata: { name, uid, resourceVersion, labels },
    spec: { unschedulable: spec?.unschedulable },
    ...(cpu !== undefined && memory !== undefined && { status: { allocatable: { cpu, memory } } }),
  };
}
