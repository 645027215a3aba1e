import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Identity } from "../access/identity.ts";
import type { RequestLine } from "./request-attributes.ts";
import { type Refusal, statusJson } from "./status.ts";

/** One request on its way to one answer. */
export interface RequestContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined when the request line makes no sense. */
  readonly line: RequestLine | undefined;
  readonly startedMs: number;
  readonly auditId: string;
  identity: Identity | undefined;
  /** The rungs of the numbers given. */
  rung: string | undefined;
  isAnswered: boolean;
}

const auditIdPattern = /^[\x21-\x7e]{1,64}$/;

/** @param startedMs now, on the monotonic clock */
export function beginRequest(
  request: IncomingMessage,
  response: ServerResponse,
  line: RequestLine | undefined,
  startedMs: number,
): RequestContext {
  const given = request.headers["audit-id"];
  const auditId = typeof given === "string" && auditIdPattern.test(given) ? given : randomUUID();
  return { request, response, line, startedMs, auditId, identity: undefined, rung: undefined, isAnswered: false };
}

/** An answer, ready to be written. */
export interface Answer {
  readonly code: number;
  readonly contentType: string;
  readonly body: string;
  /** Names and values in turn. */
  readonly headers?: readonly string[];
}

const json = "application/json";

export function jsonAnswer(body: string): Answer {
  return { code: 200, contentType: json, body };
}

/** A refusal as `metav1.Status`, always JSON whatever was asked for. */
export function statusAnswer(refusal: Refusal): Answer {
  const headers = refusal.code === 405 ? ["Allow", "GET"] : undefined;
  return { code: refusal.code, contentType: json, body: statusJson(refusal), headers };
}

/** Writes an answer; the second one for the same context is left out. @returns whether it was written */
export function writeAnswer(context: RequestContext, answer: Answer, isClosing: boolean): boolean {
  const { request, response } = context;
  if (context.isAnswered || response.headersSent) return false;
  context.isAnswered = true;
  const headers = [
    "Content-Type",
    answer.contentType,
    "Content-Length",
    String(Buffer.byteLength(answer.body)),
    "Cache-Control",
    "no-cache, private",
    "X-Content-Type-Options",
    "nosniff",
    "Audit-Id",
    context.auditId,
  ];
  if (answer.headers) headers.push(...answer.headers);
  // Whoever was refused while sending a body could go on sending: the connection ends with the answer.
  if (isClosing || (answer.code >= 400 && hasBody(request) && !request.readableEnded))
    headers.push("Connection", "close");
  response.writeHead(answer.code, headers);
  if (request.method === "HEAD") response.end();
  else response.end(answer.body);
  return true;
}

/** Whether the request announces a body. */
export function hasBody(request: IncomingMessage): boolean {
  const { headers } = request;
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}
