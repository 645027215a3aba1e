import { isPort, type ProbeHandler, type ProbeKind, type ProbeTarget, probeKinds, probePath } from "../probes.ts";
import { type Fields, fieldsOf, listOf, type PatchOperation, textOf } from "./pod-fields.ts";
import { probePort } from "./sidecar-layout.ts";

/** What becomes of a pod's probes. */
export interface RewrittenProbes {
  /** Those that the sidecar is to answer from now on, beside the ones that it did before. */
  readonly targets: readonly ProbeTarget[];
  readonly patch: readonly PatchOperation[];
  /** Why probes can't be answered for a frozen application, each with its remedy. */
  readonly problems: readonly string[];
}

type Read =
  | { readonly kind: "Target"; readonly target: ProbeTarget }
  | { readonly kind: "Problem"; readonly why: string };

const handlers = ["httpGet", "tcpSocket", "grpc", "exec"];

/**
 * Points the probes of a pod's containers to the sidecar. Periods, thresholds and time-outs stay the user's. Init
 * containers keep theirs: those that start before the sidecar would wait for it, and it for them.
 *
 * @param known probes that the sidecar answers already. Whatever they say now is another program's rewriting of ours, and
 *   taking it for the application's would send the sidecar to itself
 */
export function rewriteProbes(containers: unknown, known: readonly ProbeTarget[] = []): RewrittenProbes {
  const targets: ProbeTarget[] = [];
  const patch: PatchOperation[] = [];
  const problems: string[] = [];
  for (const [index, container] of listOf(containers).entries())
    for (const kind of probeKinds) {
      const name = textOf(container.name);
      const field = `${kind}Probe`;
      const probe = fieldsOf(container[field]);
      const read = readProbe(container, kind, probe);
      if (!read || known.some((each) => each.container === name && each.probe === kind)) continue;
      if (read.kind === "Problem") {
        problems.push(`${kind} probe of container ${name} ${read.why}`);
        continue;
      }
      const kept = Object.fromEntries(Object.entries(probe).filter(([key]) => !handlers.includes(key)));
      const httpGet = { path: probePath(read.target), port: probePort, scheme: "HTTP" };
      targets.push(read.target);
      patch.push({ op: "replace", path: `/spec/containers/${index}/${field}`, value: { ...kept, httpGet } });
    }
  return { targets, patch, problems };
}

/** @returns undefined where there is nothing to rewrite */
function readProbe(container: Fields, probe: ProbeKind, fields: Fields): Read | undefined {
  const present = handlers.filter((handler) => fields[handler] !== undefined && fields[handler] !== null);
  // None, or several: the API server refuses such a probe itself.
  if (present.length !== 1) return undefined;
  const [type] = present;
  if (type === "exec") {
    // A readiness command may fail: the gate has taken the pod out already. A liveness command that fails kills.
    if (probe !== "liveness") return undefined;
    return problem("runs a command, which would fail while frozen; use httpGet, tcpSocket or grpc");
  }
  const { host, port: named, ...given } = fieldsOf(fields[type]);
  if (host !== undefined && host !== "") return problem("names a host; leave it out, so that it asks the pod itself");
  const port = portOf(container, named);
  if (port === undefined)
    return problem(`asks port ${JSON.stringify(named)}, which is none of the container's; name one of its ports`);
  const { timeoutSeconds } = fields;
  return {
    kind: "Target",
    target: {
      container: textOf(container.name),
      probe,
      timeoutSeconds: isPositive(timeoutSeconds) ? timeoutSeconds : 1,
      handler: handlerOf(type, port, given),
    },
  };
}

function handlerOf(type: string, port: number, { scheme, path, httpHeaders, service }: Fields): ProbeHandler {
  if (type === "tcpSocket") return { type: "TcpSocket", port };
  if (type === "grpc") return { type: "Grpc", port, service: textOf(service) };
  const text = textOf(path);
  return {
    type: "HttpGet",
    scheme: scheme === "HTTPS" ? "HTTPS" : "HTTP",
    port,
    path: text.startsWith("/") ? text : `/${text}`,
    headers: listOf(httpHeaders).map(({ name, value }) => ({ name: textOf(name), value: textOf(value) })),
  };
}

/** A port by number, or by its name among the container's own. */
function portOf(container: Fields, port: unknown): number | undefined {
  if (isPort(port)) return port;
  const found = listOf(container.ports).find(({ name }) => typeof port === "string" && name === port);
  return isPort(found?.containerPort) ? found.containerPort : undefined;
}

function isPositive(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

function problem(why: string): Read {
  return { kind: "Problem", why };
}
