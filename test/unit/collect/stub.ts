import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly parameters: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
}

/** A store that answers as a test tells it to. */
export interface Stub {
  readonly url: string;
  readonly port: number;
  readonly requests: StubRequest[];
  close(): Promise<void>;
}

export async function startStub(
  answer: (request: StubRequest, response: ServerResponse, number: number) => void,
): Promise<Stub> {
  const requests: StubRequest[] = [];
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part) => parts.push(part));
    incoming.on("end", () => {
      const url = new URL(incoming.url ?? "/", "http://stub");
      const posted = incoming.method === "POST";
      const request: StubRequest = {
        method: incoming.method ?? "",
        path: url.pathname,
        parameters: posted ? new URLSearchParams(Buffer.concat(parts).toString()) : url.searchParams,
        headers: incoming.headers,
      };
      requests.push(request);
      answer(request, response, requests.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends an answer of Prometheus' API. */
export function succeed(response: ServerResponse, resultType: string, result: unknown, more: object = {}): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ status: "success", data: { resultType, result }, ...more }));
}

/** One series of a matrix. */
export function matrixOf(
  values: readonly (readonly [number, unknown])[],
  metric: Record<string, string> = {},
): unknown {
  return [{ metric, values }];
}
