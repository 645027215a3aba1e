/** One answered request. Selector values, tokens and headers have no place in it. */
export interface AuditRecord {
  readonly id: string;
  readonly user: string;
  readonly method: string;
  /** Path of the request, without its query; absent for a metric, which the next two name. */
  readonly path?: string;
  readonly namespace?: string;
  readonly metric?: string;
  readonly code: number;
  readonly ms: number;
  /** The rungs of the numbers given. */
  readonly rung?: string;
}

const longestField = 512;

/** One line of JSON. Built by hand: it is written for each request. */
export function auditLine(record: AuditRecord, time: string): string {
  let line = `{"time":"${time}","level":"info","message":"request","id":${text(record.id)},"user":${text(record.user)},"method":${text(record.method)}`;
  if (record.path !== undefined) line += `,"path":${text(record.path)}`;
  if (record.namespace !== undefined) line += `,"namespace":${text(record.namespace)}`;
  if (record.metric !== undefined) line += `,"metric":${text(record.metric)}`;
  line += `,"code":${record.code},"ms":${record.ms.toFixed(1)}`;
  if (record.rung !== undefined) line += `,"rung":"${record.rung}"`;
  return `${line}}\n`;
}

function text(value: string): string {
  return JSON.stringify(value.length > longestField ? `${value.slice(0, longestField)}…` : value);
}

/** Where audit lines go. */
export interface AuditLog {
  write(record: AuditRecord): void;
  /** Writes what is held back. */
  flush(): void;
}

/** A stream as far as lines need it; Node's own tell how much they have not passed on yet. */
export type LineStream = NodeJS.WritableStream & { readonly writableLength?: number };

const longestWaitMs = 100;
const fullBytes = 64 * 1024;
const mostUnwrittenBytes = 16 * 2 ** 20;

/**
 * Audit lines on a stream, some at a time: a write for each line would cost more than the answer. When the stream does
 * not take them, lines are dropped and counted, rather than kept until memory ends.
 */
export function createAuditLog(stream: LineStream, nowMs: () => number = Date.now): AuditLog {
  let held = "";
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  let second = Number.NaN;
  let stamp = "";

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (held === "") return;
    if ((stream.writableLength ?? 0) > mostUnwrittenBytes) dropped += held.split("\n").length - 1;
    else if (dropped > 0) {
      stream.write(
        `{"time":"${stamp}","level":"warn","message":"audit lines were dropped","lines":${dropped}}\n${held}`,
      );
      dropped = 0;
    } else stream.write(held);
    held = "";
  }

  return {
    write(record) {
      const atMs = nowMs();
      if (atMs !== second) {
        second = atMs;
        stamp = new Date(atMs).toISOString();
      }
      held += auditLine(record, stamp);
      if (held.length >= fullBytes) flush();
      else timer ??= setTimeout(flush, longestWaitMs).unref();
    },
    flush,
  };
}

/** Keeps nothing. */
export const noAudit: AuditLog = { write: () => {}, flush: () => {} };
