import express, { type Express, type NextFunction, type Request, type Response } from "express";
import { readBody } from "./http/body.ts";
import { type Answer, hasBody, type RequestContext } from "./http/request-context.ts";
import type { Responder } from "./http/responder.ts";
import { isRefusal, type Refusal, refuse } from "./http/status.ts";
import type { Route } from "./routes.ts";

export interface RouterOptions {
  readonly routes: readonly Route[];
  readonly responder: Pick<Responder, "contextOf" | "send">;
  /** Answers what no route is for: metrics that were asked for with a body; else a 404. */
  readonly answerOther: (context: RequestContext) => Answer | Refusal;
  /** Of requests that no route is for. */
  readonly bodyLimitBytes: number;
  /** Time for an answer once the request was admitted and read. */
  readonly deadlineMs: number;
  readonly onError: (error: unknown) => void;
}

/** Brings admitted requests to the route that their path is for. */
export function createRouter(options: RouterOptions): Express {
  const { routes, responder, answerOther, onError } = options;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("case sensitive routing");
  app.enable("strict routing");
  const send = (request: Request, answer: Answer | Refusal) => responder.send(responder.contextOf(request), answer);

  const limits = new Map(routes.map(({ path, bodyLimitBytes }) => [path, bodyLimitBytes]));
  const bodies = new WeakMap<Request, Buffer>();
  app.use(async (request: Request, _response: Response, next: NextFunction) => {
    if (!hasBody(request)) return next();
    const body = await readBody(request, limits.get(request.path) ?? options.bodyLimitBytes);
    if (isRefusal(body)) return send(request, body);
    bodies.set(request, body);
    next();
  });

  for (const { method, path, answer } of routes) {
    const only = (request: Request) =>
      send(request, refuse(405, `${request.method} is not supported here; use ${method}`));
    const answering = async (request: Request) =>
      send(
        request,
        await withinDeadline(answer(request.headers, bodies.get(request) ?? Buffer.alloc(0)), options.deadlineMs),
      );
    // Before `get`, which would answer HEAD as well: upstream does not.
    app.head(path, only);
    if (method === "GET") app.get(path, answering);
    else app.post(path, answering);
    app.all(path, only);
  }

  app.use((request: Request) => send(request, answerOther(responder.contextOf(request))));
  app.use((error: unknown, request: Request, _response: Response, _next: NextFunction) => {
    // Express answers some requests itself, such as a path that it can't decode.
    const isCallers = (error as { status?: number } | undefined)?.status === 400;
    if (!isCallers) onError(error);
    send(request, isCallers ? refuse(400, "the request can't be read") : refuse(500, internalError));
  });
  return app;
}

export const internalError = "internal error; the server's log has the details";

async function withinDeadline(
  answer: Answer | Refusal | Promise<Answer | Refusal>,
  deadlineMs: number,
): Promise<Answer | Refusal> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<Refusal>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, refuse(503, `no answer within ${deadlineMs / 1000} s; try again`));
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
