import type { Log } from "./kube/log.ts";

export type Level = keyof Log;

const order: readonly Level[] = ["debug", "info", "warn", "error"];

/**
 * Logs as single-line JSON.
 *
 * @param least levels below it are dropped
 */
export function createLog(stream: NodeJS.WritableStream, least: Level = "info"): Log {
  const write =
    (level: Level) =>
    (message: string, fields: object = {}) => {
      if (order.indexOf(level) < order.indexOf(least)) return;
      stream.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...plain(fields) })}\n`);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** Errors lose their message in JSON unless it is taken out. The cause is kept, as a message too. */
function plain(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error
        ? { message: value.message, code: (value as { code?: unknown }).code, cause: (value.cause as Error)?.message }
        : value,
    ]),
  );
}
