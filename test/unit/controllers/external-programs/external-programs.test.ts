import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { ExternalPrograms } from "../../../../src/controllers/external-programs/external-programs.ts";

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Asked {
  readonly path: string | undefined;
  readonly question: unknown;
}

/** A program that answers as a test tells it to. */
async function programOf(answer: (asked: Asked, response: ServerResponse, request: IncomingMessage) => void) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      asked.push({ path: request.url, question: JSON.parse(text) });
      answer(asked.at(-1)!, response, request);
    });
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const programs = (url: string, more: object = {}) =>
  new ExternalPrograms({ urls: new Map([["theirs", url]]), addresses: { allowLoopback: true }, ...more });

test("a program is told its name and settings beside the question, and its JSON is the answer", async () => {
  const { url, asked } = await programOf((_, response) => void response.end('{"stable": true}'));
  const answer = await programs(`${url}/base/`).ask({ name: "theirs", config: { level: "high" } }, "/stability", {
    namespace: "store",
  });
  expect(answer).toEqual({ stable: true });
  expect(asked).toEqual([
    { path: "/base/stability", question: { namespace: "store", name: "theirs", config: { level: "high" } } },
  ]);
});

test("nothing but what the administrator names is called", async () => {
  const { url, asked } = await programOf((_, response) => void response.end("{}"));
  const ask = (name: string) => programs(url).ask({ name, config: { url } }, "/order", {});
  await expect(ask(url)).rejects.toMatchObject({
    code: "NotFound",
    message: expect.stringContaining("--external-programs"),
  });
  await expect(ask("constructor")).rejects.toMatchObject({ code: "NotFound" });
  expect(asked).toEqual([]);
});

test.each([
  ["http://127.0.0.1:9", "a loopback address"],
  ["http://169.254.169.254", "a link-local, metadata or reserved address"],
  ["http://user:secret@host", "holds a user or password"],
])("an address that must not be called is refused from the start: %s", (url, why) => {
  const make = () => new ExternalPrograms({ urls: new Map([["theirs", url]]), addresses: {} });
  expect(make).toThrow(why);
  expect(make).not.toThrow("secret");
});

test.each<{ name: string; answer: (response: ServerResponse) => void; code: string; says: string }>([
  {
    name: "a redirect",
    answer: (r) => void r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    code: "Redirected",
    says: "not followed",
  },
  {
    name: "an error",
    answer: (r) => void r.writeHead(500).end('{"stable": true}'),
    code: "ServerError",
    says: "status 500",
  },
  { name: "no such path", answer: (r) => void r.writeHead(404).end(), code: "NotFound", says: "status 404" },
  { name: "text", answer: (r) => void r.end("all fine"), code: "BadAnswer", says: "JSON object" },
  { name: "a list", answer: (r) => void r.end("[true]"), code: "BadAnswer", says: "JSON object" },
  {
    name: "more than 1 MiB",
    answer: (r) => void r.end(`{"order": ["${"x".repeat(2 ** 20)}"]}`),
    code: "TooLarge",
    says: "1 MiB",
  },
  { name: "a slow drip", answer: (r) => void r.write("{"), code: "Timeout", says: "within 0.3 s" },
])("$name is no answer", async ({ answer, code, says }) => {
  const { url } = await programOf((_, response) => answer(response));
  await expect(programs(url, { timeoutMs: 300 }).ask({ name: "theirs" }, "/stability", {})).rejects.toMatchObject({
    code,
    message: expect.stringMatching(new RegExp(`external program theirs.*${says}`)),
  });
});

test("a connection that was closed while it was kept is opened again", async () => {
  let count = 0;
  const { url, asked } = await programOf((_, response, request) => {
    count++;
    if (count === 2) request.socket.destroy();
    else response.end('{"stable": true}');
  });
  const theirs = programs(url);
  await theirs.ask({ name: "theirs" }, "/stability", {});
  expect(await theirs.ask({ name: "theirs" }, "/stability", {})).toEqual({ stable: true });
  expect(asked).toHaveLength(3);
});
