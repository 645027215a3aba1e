import { externalMetricsGroup, externalMetricsVersion } from "../names.ts";

/** What access is asked for, as the API server's own RequestInfo sees a request. */
export type Attributes =
  | {
      readonly kind: "Resource";
      readonly verb: string;
      readonly group: string;
      readonly version: string;
      /** "" when the path names none. It comes from the path alone, never from a selector. */
      readonly namespace: string;
      readonly resource: string;
      readonly name: string;
      readonly subresource: string;
    }
  | { readonly kind: "Path"; readonly verb: string; readonly path: string };

const resourceVerbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** A request line taken apart; `path` is decoded. */
export interface RequestLine {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly attributes: Attributes;
}

/**
 * Reads a request line.
 *
 * @returns undefined when the path is not absolute or its percent-encoding is broken
 */
export function readRequestLine(method: string, url: string): RequestLine | undefined {
  const mark = url.indexOf("?");
  const raw = mark < 0 ? url : url.slice(0, mark);
  if (!raw.startsWith("/")) return undefined;
  let path: string;
  try {
    path = decodeURIComponent(raw);
  } catch {
    return undefined;
  }
  const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
  return { path, query, attributes: attributesOf(method, path, query) };
}

function attributesOf(method: string, path: string, query: URLSearchParams): Attributes {
  const [prefix, group, version, ...rest] = path.replace(/^\/+|\/+$/g, "").split("/");
  // Another group's resources are none of ours: asked for as a path, which few may.
  if (prefix !== "apis" || group !== externalMetricsGroup || version !== externalMetricsVersion || rest.length === 0)
    return { kind: "Path", verb: method.toLowerCase(), path };
  let namespace = "";
  let parts = rest;
  if (rest[0] === "namespaces" && rest.length > 1) {
    namespace = rest[1];
    if (rest.length > 2) parts = rest.slice(2);
  }
  const [resource, name = "", subresource = ""] = parts;
  let verb = resourceVerbs[method] ?? "";
  if (verb === "get" && name === "") verb = isWatch(query) ? "watch" : "list";
  if (verb === "delete" && name === "") verb = "deletecollection";
  return { kind: "Resource", verb, group, version, namespace, resource, name, subresource };
}

/** Whether a query asks for a watch: any value but `0` and `false`, as Go's conversion has it. */
export function isWatch(query: URLSearchParams): boolean {
  const value = query.get("watch");
  return value !== null && value !== "0" && value.toLowerCase() !== "false";
}
