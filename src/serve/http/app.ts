import express, { type Express, type NextFunction, type Request, type Response } from "express";
import type { Registry } from "prom-client";
import { type AdmissionValidator, reviewAdmission } from "../admission/admission.ts";
import { type PodInjector, reviewPod } from "../admission/pod-injection.ts";
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
} from "../metrics-api/discovery.ts";
import { externalMetricsGroup, externalMetricsPath } from "../names.ts";
import { negotiate } from "./accept.ts";
import { readBody } from "./body.ts";
import { type Answer, hasBody, jsonAnswer, type RequestContext } from "./request-context.ts";
import { isRefusal, type Refusal, refuse } from "./status.ts";

export interface AppOptions {
  readonly registry: Registry;
  readonly version: string;
  /** Names of what is not ready yet; none, and the server is. */
  readonly unready: () => readonly string[];
  readonly judge: AdmissionValidator;
  readonly inject: PodInjector;
  readonly bodyLimitBytes: number;
  /** The same for admission reviews. */
  readonly reviewLimitBytes: number;
  /** Time for an answer once the request was admitted and read. */
  readonly deadlineMs: number;
  readonly exchangeOf: (request: Request) => RequestContext;
  readonly send: (context: RequestContext, answer: Answer | Refusal) => void;
  /** What no path here is for: the metrics, when they were asked for with a body; else a 404. */
  readonly answerOther: (context: RequestContext) => Answer | Refusal;
  readonly onError: (error: unknown) => void;
}

type Route = (request: Request) => Answer | Refusal | Promise<Answer | Refusal>;

/** Everything but the metrics themselves: discovery, OpenAPI, health, our own metrics, admission. */
export function createApp(options: AppOptions): Express {
  const { exchangeOf, send } = options;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("case sensitive routing");
  app.enable("strict routing");

  const reviews: Readonly<Record<string, (body: Buffer) => object | Refusal>> = {
    "/validate": (body) => reviewAdmission(body, options.judge),
    "/mutate": (body) => reviewPod(body, options.inject),
  };
  const bodies = new WeakMap<Request, Buffer>();
  app.use(async (request: Request, _response: Response, next: NextFunction) => {
    if (!hasBody(request)) return next();
    const isReview = Object.hasOwn(reviews, request.path);
    const body = await readBody(request, isReview ? options.reviewLimitBytes : options.bodyLimitBytes);
    if (isRefusal(body)) return send(exchangeOf(request), body);
    bodies.set(request, body);
    next();
  });

  const answering = (route: Route) => async (request: Request) => {
    const late = refuse(503, `no answer within ${options.deadlineMs / 1000} s; try again`);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<Refusal>((resolve) => {
      timer = setTimeout(resolve, options.deadlineMs, late);
    });
    try {
      send(exchangeOf(request), await Promise.race([route(request), deadline]));
    } finally {
      clearTimeout(timer);
    }
  };

  const only = (method: "GET" | "POST") => (request: Request) =>
    send(exchangeOf(request), refuse(405, `${request.method} is not supported here; use ${method}`));
  const get = (path: string, route: Route) => {
    // Before `get`, which would answer HEAD as well: upstream does not.
    app.head(path, only("GET"));
    app.get(path, answering(route));
    app.all(path, only("GET"));
  };

  const health = (check: () => readonly string[]) => () => {
    const missing = check();
    return missing.length === 0
      ? { code: 200, contentType: "text/plain; charset=utf-8", body: "ok" }
      : refuse(500, `not ready: ${missing.join(", ")}`);
  };
  for (const [path, check] of [
    ["/healthz", () => []],
    ["/livez", () => []],
    ["/readyz", options.unready],
  ] as const)
    get(path, health(check));
  get("/metrics", async () => ({
    code: 200,
    contentType: options.registry.contentType,
    body: await options.registry.metrics(),
  }));
  get("/version", () => jsonAnswer(`${JSON.stringify({ gitVersion: options.version, platform: "forescale" })}\n`));

  get("/", (request) => unlessModified(request, rootPaths));
  get("/apis", (request) => {
    const wanted = negotiate(request.headers.accept, true);
    return wanted.kind === "Discovery"
      ? withHeaders(unlessModified(request, aggregatedDiscovery[wanted.version], true), "Vary", "Accept")
      : withHeaders(unlessModified(request, apiGroupList), "Vary", "Accept");
  });
  get(`/apis/${externalMetricsGroup}`, (request) => unlessModified(request, apiGroupDocument));
  get(externalMetricsPath, (request) => unlessModified(request, apiResourceList));
  get("/openapi/v2", (request) => unlessModified(request, openApiV2Document));
  get("/openapi/v3", (request) => unlessModified(request, openApiV3Index));
  // Upstream redirects when `hash` is an old one. The aggregator follows no redirect: serve what there is.
  get(`/openapi/v3${externalMetricsPath}`, (request) => unlessModified(request, openApiV3Document));

  for (const [path, review] of Object.entries(reviews)) {
    app.post(
      path,
      answering((request) => {
        const answer = review(bodies.get(request) ?? Buffer.alloc(0));
        return isRefusal(answer) ? answer : jsonAnswer(`${JSON.stringify(answer)}\n`);
      }),
    );
    app.all(path, only("POST"));
  }

  app.use((request: Request) => send(exchangeOf(request), options.answerOther(exchangeOf(request))));
  app.use((error: unknown, request: Request, _response: Response, _next: NextFunction) => {
    // Express answers some requests itself, such as a path that it can't decode.
    const isCallers = (error as { status?: number } | undefined)?.status === 400;
    if (!isCallers) options.onError(error);
    send(
      exchangeOf(request),
      isCallers ? refuse(400, "the request can't be read") : refuse(500, "an error of this server's own; see its log"),
    );
  });
  return app;
}

function unlessModified(request: Request, document: Document, isNegotiated = false): Answer | Refusal {
  if (!isNegotiated && negotiate(request.headers.accept).kind === "None")
    return refuse(406, "only application/json is served here");
  const headers = ["ETag", document.etag];
  if (request.headers["if-none-match"] === document.etag)
    return { code: 304, contentType: document.contentType, body: "", headers };
  return { code: 200, contentType: document.contentType, body: document.body, headers };
}

function withHeaders(answer: Answer | Refusal, ...headers: string[]): Answer | Refusal {
  return isRefusal(answer) ? answer : { ...answer, headers: [...(answer.headers ?? []), ...headers] };
}
