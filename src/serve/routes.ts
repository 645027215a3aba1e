import type { IncomingHttpHeaders } from "node:http";
import type { Registry } from "prom-client";
import { type AdmissionValidator, reviewAdmission } from "./admission/admission.ts";
import { type PodInjector, reviewPod } from "./admission/pod-injection.ts";
import { negotiate } from "./http/accept.ts";
import { type Answer, jsonAnswer } from "./http/request-context.ts";
import { isRefusal, type Refusal, refuse } from "./http/status.ts";
import {
  aggregatedDiscovery,
  apiGroupDocument,
  apiGroupList,
  apiResourceList,
  type Document,
  openApiV2Document,
  openApiV3Document,
  openApiV3Index,
  rootPaths,
} from "./metrics-api/discovery.ts";
import { externalMetricsGroup, externalMetricsPath } from "./names.ts";

export interface RoutesOptions {
  readonly registry: Registry;
  readonly version: string;
  /** Names of what is not ready yet; none, and the server is. */
  readonly unready: () => readonly string[];
  readonly validate: AdmissionValidator;
  readonly inject: PodInjector;
  readonly bodyLimitBytes: number;
  /** The same for admission reviews. */
  readonly reviewLimitBytes: number;
}

type Answering = Answer | Refusal | Promise<Answer | Refusal>;

/** A path that is answered, and how. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** The longest body that is read. */
  readonly bodyLimitBytes: number;
  answer(headers: IncomingHttpHeaders, body: Buffer): Answering;
}

/** Every path but those of the metrics themselves: health, our own metrics, discovery, OpenAPI and admission. */
export function routesOf(options: RoutesOptions): readonly Route[] {
  const { registry, version, unready, validate, inject } = options;
  const get = (path: string, answer: (headers: IncomingHttpHeaders) => Answering): Route => ({
    method: "GET",
    path,
    bodyLimitBytes: options.bodyLimitBytes,
    answer,
  });
  const review = (path: string, answer: (body: Buffer) => object | Refusal): Route => ({
    method: "POST",
    path,
    bodyLimitBytes: options.reviewLimitBytes,
    answer(_headers, body) {
      const reviewed = answer(body);
      return isRefusal(reviewed) ? reviewed : jsonAnswer(`${JSON.stringify(reviewed)}\n`);
    },
  });
  return [
    get("/healthz", () => health([])),
    get("/livez", () => health([])),
    get("/readyz", () => health(unready())),
    get("/metrics", async () => ({
      code: 200,
      contentType: registry.contentType,
      body: await registry.metrics(),
    })),
    get("/version", () => jsonAnswer(`${JSON.stringify({ gitVersion: version, platform: "forescale" })}\n`)),
    get("/", (headers) => unlessModified(headers, rootPaths)),
    get("/apis", groups),
    get(`/apis/${externalMetricsGroup}`, (headers) => unlessModified(headers, apiGroupDocument)),
    get(externalMetricsPath, (headers) => unlessModified(headers, apiResourceList)),
    get("/openapi/v2", (headers) => unlessModified(headers, openApiV2Document)),
    get("/openapi/v3", (headers) => unlessModified(headers, openApiV3Index)),
    // Upstream redirects when `hash` is an old one. The aggregator follows no redirect: serve what there is.
    get(`/openapi/v3${externalMetricsPath}`, (headers) => unlessModified(headers, openApiV3Document)),
    review("/validate", (body) => reviewAdmission(body, validate)),
    review("/mutate", (body) => reviewPod(body, inject)),
  ];
}

function health(missing: readonly string[]): Answer | Refusal {
  return missing.length === 0
    ? { code: 200, contentType: "text/plain; charset=utf-8", body: "ok" }
    : refuse(500, `not ready: ${missing.join(", ")}`);
}

/** The API's groups: aggregated where the client asks for that, else the plain list. */
function groups(headers: IncomingHttpHeaders): Answer | Refusal {
  const wanted = negotiate(headers.accept, true);
  const answer =
    wanted.kind === "Discovery"
      ? unlessModified(headers, aggregatedDiscovery[wanted.version], true)
      : unlessModified(headers, apiGroupList);
  return isRefusal(answer) ? answer : { ...answer, headers: [...(answer.headers ?? []), "Vary", "Accept"] };
}

function unlessModified(headers: IncomingHttpHeaders, document: Document, isNegotiated = false): Answer | Refusal {
  if (!isNegotiated && negotiate(headers.accept).kind === "None")
    return refuse(406, "only application/json is served here");
  const etag = ["ETag", document.etag];
  if (headers["if-none-match"] === document.etag)
    return { code: 304, contentType: document.contentType, body: "", headers: etag };
  return { code: 200, contentType: document.contentType, body: document.body, headers: etag };
}
