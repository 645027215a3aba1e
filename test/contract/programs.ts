import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** An external program that is asked about pods, and answers as a test tells it to. */
export interface Program {
  readonly url: string;
  /** What it was asked, the last one last. */
  readonly questions: { readonly path: string; readonly question: Record<string, unknown> }[];
  /** Answers by path; a path that is not there is answered with status 503. */
  readonly answers: Map<string, (question: Record<string, unknown>) => unknown>;
  stop(): Promise<void>;
}

export async function startProgram(): Promise<Program> {
  const questions: Program["questions"] = [];
  const answers: Program["answers"] = new Map();
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const path = request.url ?? "";
      const question = JSON.parse(Buffer.concat(parts).toString("utf8"));
      questions.push({ path, question });
      const answer = answers.get(path);
      if (answer === undefined) response.writeHead(503).end();
      else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer(question)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    questions,
    answers,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
