import { KubeError, type StatusBody } from "../client/kube-error.ts";
import type { KubeObject } from "../client/resource.ts";

/** One line of a watch. A bookmark's object has nothing but a resourceVersion that matters. */
export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: KubeObject }
  | { readonly type: "ERROR"; readonly object: StatusBody };

const newline = 0x0a;

/** etcd refuses objects above 1.5 MiB, so a line this long is not a watch event. */
const longestLine = 16 * 2 ** 20;

const eventTypes = new Set(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]);

/**
 * Cuts a stream of bytes into watch events; characters and lines may be split over chunks anywhere.
 *
 * @throws KubeError `BadAnswer` for a line that is not a watch event, or one past 16 MiB
 */
export async function* watchEvents(chunks: AsyncIterable<Buffer>, object: string): AsyncGenerator<WatchEvent> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      held.push(chunk.subarray(from, end));
      const line = held.length === 1 ? held[0].toString("utf8") : Buffer.concat(held).toString("utf8");
      held = [];
      heldBytes = 0;
      from = end + 1;
      if (line.trim() !== "") yield parseEvent(line, object);
    }
    if (from < chunk.length) {
      held.push(chunk.subarray(from));
      heldBytes += chunk.length - from;
      if (heldBytes > longestLine)
        throw new KubeError("BadAnswer", `watch ${object}: a line longer than 16 MiB; list again`, { object });
    }
  }
  if (heldBytes > 0 && Buffer.concat(held).toString("utf8").trim() !== "")
    throw new KubeError("BadAnswer", `watch ${object}: the stream ended inside a line; list again`, { object });
}

function parseEvent(line: string, object: string): WatchEvent {
  let event: WatchEvent | undefined;
  try {
    event = JSON.parse(line);
  } catch {
    // The parser's message quotes the line, which may be a Secret's.
    throw new KubeError("BadAnswer", `watch ${object}: a line that is not JSON; list again`, { object });
  }
  const named = event?.type === "ERROR" || typeof (event?.object as KubeObject | undefined)?.metadata === "object";
  if (!event || !eventTypes.has(event.type) || !event.object || !named)
    throw new KubeError("BadAnswer", `watch ${object}: a line that is not a watch event; list again`, { object });
  return event;
}
