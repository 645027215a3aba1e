/** A TCP socket of /proc/net/tcp or tcp6, as far as draining asks. */
export interface Socket {
  readonly localPort: number;
  /** Both addresses and ports: names the connection. */
  readonly name: string;
  readonly isListening: boolean;
  readonly isEstablished: boolean;
  /** Bytes not yet read by the application, or not yet acknowledged by its peer. */
  readonly queuedBytes: number;
  /** Its file in the kernel, by which it is known who holds it. */
  readonly inode: string;
  /** When data moved last, where the kernel tells. */
  readonly activity?: Activity;
}

/** Milliseconds since a connection took data and gave data. */
export interface Activity {
  readonly receivedMs: number;
  readonly sentMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** What the helper says of connections, by inode. */
export function parseActivities(text: string): ReadonlyMap<string, Activity> {
  return new Map(
    text
      .split(",")
      .filter((each) => each !== "")
      .map((each) => {
        const [inode, ...numbers] = each.split(":");
        const [receivedMs, sentMs, receivedBytes, sentBytes] = numbers.map(Number);
        return [inode, { receivedMs, sentMs, receivedBytes, sentBytes }];
      }),
  );
}

const established = "01";
const listening = "0A";

/** Parses /proc/net/tcp or tcp6; a line that is not of that form is left out. */
export function parseSockets(text: string): Socket[] {
  return text.split("\n").flatMap((line) => {
    const match = line.match(
      /^\s*\d+: ([0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4}) ([0-9A-F]{2}) ([0-9A-F]+):([0-9A-F]+) \S+ \S+ +\d+ +\d+ (\d+)/,
    );
    if (!match) return [];
    const [, name, port, state, sent, received, inode] = match;
    return {
      localPort: Number.parseInt(port, 16),
      name,
      isListening: state === listening,
      isEstablished: state === established,
      // For a listening socket these are other numbers.
      queuedBytes: Number.parseInt(sent, 16) + Number.parseInt(received, 16),
      inode,
    };
  });
}

/** Connections to the application: those to a port on which one of its sockets listens. */
export function inboundConnections(sockets: readonly Socket[], isTheirs: (inode: string) => boolean): Socket[] {
  const listeners = sockets.filter(({ isListening, inode }) => isListening && isTheirs(inode));
  const ports = new Set(listeners.map(({ localPort }) => localPort));
  return sockets.filter(({ isEstablished, localPort }) => isEstablished && ports.has(localPort));
}

/** How a drain goes: connections that stay open unused, as clients keep them, are waited on for `quietMs` alone. */
export interface DrainLimits {
  readonly pollMs: number;
  readonly quietMs: number;
  /** A connection whose last data came in owes an answer for so long; later it is one of those that are kept. */
  readonly owedMs: number;
  /** Longer than this is refused as busy. */
  readonly limitMs: number;
}

export const defaultDrainLimits: DrainLimits = { pollMs: 100, quietMs: 2000, owedMs: 30_000, limitMs: 60_000 };

/** Whether data waits, moved a moment ago, or came in and may have no answer yet. */
function isInUse({ queuedBytes, activity }: Socket, { quietMs, owedMs }: DrainLimits): boolean {
  if (queuedBytes > 0) return true;
  if (activity === undefined) return false;
  const { receivedMs, sentMs, receivedBytes, sentBytes } = activity;
  // The kernel's clock ticks every few milliseconds: a first request may have come in the tick that opened the connection.
  const owes = receivedBytes > 0 && (sentBytes === 0 || receivedMs < sentMs);
  return Math.min(receivedMs, sentMs) < quietMs || (owes && receivedMs < owedMs);
}

/** What one look at the sockets adds to a drain. */
export interface DrainProgress {
  readonly isDrained: boolean;
  /** Since when the same connections are open and nothing is queued; undefined while something moves. */
  readonly quietSinceMs: number | undefined;
  readonly connections: string;
}

/**
 * One look: drained without connections, or when none is in use. Where the kernel does not tell when data moved last, when the same
 * ones stood still for long enough: a request that is worked on for longer is then not seen.
 */
export function drainStep(
  before: DrainProgress | undefined,
  inbound: readonly Socket[],
  nowMs: number,
  limits: DrainLimits,
): DrainProgress {
  const connections = inbound
    .map(({ name }) => name)
    .toSorted()
    .join(",");
  if (inbound.length === 0) return { isDrained: true, quietSinceMs: nowMs, connections };
  const isUsed = inbound.some((socket) => isInUse(socket, limits));
  if (!isUsed && inbound.every(({ activity }) => activity !== undefined))
    return { isDrained: true, quietSinceMs: nowMs, connections };
  if (isUsed || (before && before.connections !== connections))
    return { isDrained: false, quietSinceMs: undefined, connections };
  const quietSinceMs = before?.quietSinceMs ?? nowMs;
  return { isDrained: nowMs - quietSinceMs >= limits.quietMs, quietSinceMs, connections };
}
