/** The probes of a container that a kubelet runs. */
export const probeKinds = ["liveness", "readiness", "startup"] as const;
export type ProbeKind = (typeof probeKinds)[number];

/** What a probe asks, with the port as a number. */
export type ProbeHandler =
  | {
      readonly type: "HttpGet";
      /** Certificates are not verified over HTTPS: the kubelet does not either. */
      readonly scheme: "HTTP" | "HTTPS";
      readonly port: number;
      /** With its query, beginning with `/`. */
      readonly path: string;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly type: "TcpSocket"; readonly port: number }
  /** The gRPC health protocol; `service` is "" where the probe names none. */
  | { readonly type: "Grpc"; readonly port: number; readonly service: string };

/** A probe as the user wrote it. The webhook points the kubelet to the sidecar, which asks this in its stead. */
export interface ProbeTarget {
  readonly container: string;
  readonly probe: ProbeKind;
  /** How long the user lets the application think, from 1. */
  readonly timeoutSeconds: number;
  readonly handler: ProbeHandler;
}

/** Where the kubelet reaches the sidecar for a probe: nothing else is served there. */
export function probePath({ container, probe }: Pick<ProbeTarget, "container" | "probe">): string {
  return `/probes/${container}/${probe}`;
}

/** Targets as text for the sidecar's environment. No `$` is left, which the kubelet would expand. */
export function writeProbeTargets(targets: readonly ProbeTarget[]): string {
  return JSON.stringify(targets).replaceAll("$", "\\u0024");
}

/**
 * The inverse of `writeProbeTargets`.
 *
 * @throws RangeError when the text is no list of targets, naming the first that is none
 */
export function readProbeTargets(text: string): readonly ProbeTarget[] {
  let targets: unknown;
  try {
    targets = JSON.parse(text);
  } catch {
    throw new RangeError("the probe targets are not JSON; the webhook writes them when the pod is made");
  }
  if (!Array.isArray(targets)) throw new RangeError("the probe targets are no list");
  return targets.map((target, index) => {
    if (isTarget(target)) return target;
    throw new RangeError(`probe target ${index} is none: ${JSON.stringify(target).slice(0, 200)}`);
  });
}

function isTarget(value: unknown): value is ProbeTarget {
  if (!isRecord(value) || !isRecord(value.handler)) return false;
  const { container, probe, timeoutSeconds, handler } = value;
  const isNamed = typeof container === "string" && probeKinds.includes(probe as ProbeKind);
  if (!isNamed || !Number.isInteger(timeoutSeconds) || (timeoutSeconds as number) < 1) return false;
  if (!isPort(handler.port)) return false;
  switch (handler.type) {
    case "HttpGet":
      return (
        (handler.scheme === "HTTP" || handler.scheme === "HTTPS") &&
        typeof handler.path === "string" &&
        Array.isArray(handler.headers) &&
        handler.headers.every(
          (each) => isRecord(each) && typeof each.name === "string" && typeof each.value === "string",
        )
      );
    case "TcpSocket":
      return true;
    case "Grpc":
      return typeof handler.service === "string";
    default:
      return false;
  }
}

/** Whether a value is a port number. */
export function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
