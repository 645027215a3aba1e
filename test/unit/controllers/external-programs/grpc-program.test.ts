import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { ExternalPrograms } from "../../../../src/controllers/external-programs/external-programs.ts";
import { issueAuthority, issueServing } from "../../../../src/serve/tls/certificates.ts";

const open: (() => void)[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each();
});

/** A gRPC frame around a message of one text, written out by hand: field 1, its length in two bytes, the text. */
function frame(text: string): Buffer {
  const body = Buffer.from(text);
  const message = Buffer.concat([Buffer.from([0x0a, (body.length & 127) | 128, body.length >> 7]), body]);
  const head = Buffer.from([0, 0, 0, message.length >> 8, message.length & 255]);
  return Buffer.concat([head, message]);
}

/** A gRPC frame that announces so many bytes, and has them. */
function longFrame(bytes: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes, 1);
  return Buffer.concat([head, Buffer.alloc(bytes)]);
}

interface Call {
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

async function programOf(answer: (stream: http2.ServerHttp2Stream) => void, tls?: http2.SecureServerOptions) {
  const calls: Call[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = tls ? http2.createSecureServer(tls) : http2.createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      calls.push({ headers, body: Buffer.concat(parts) });
      answer(stream);
    });
  });
  open.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `${tls ? "grpcs" : "grpc"}://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

function respond(stream: http2.ServerHttp2Stream, body: Buffer, status = "0"): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
  stream.end(body);
}

const ask = (url: string, about: object = {}) =>
  new ExternalPrograms({ urls: new Map([["theirs", url]]), addresses: { allowLoopback: true }, timeoutMs: 400 }).ask(
    { name: "theirs" },
    "/stability",
    about,
  );

test("the question goes as a protobuf message in a gRPC frame, and the answer comes back so", async () => {
  const { url, calls } = await programOf((stream) => respond(stream, frame('{"stable": true, "message": "ä"}')));
  expect(await ask(url, { pods: "x".repeat(150) })).toEqual({ stable: true, message: "ä" });
  expect(calls[0].headers).toMatchObject({
    ":method": "POST",
    ":path": "/forescale.external.v1.Program/Stability",
    "content-type": "application/grpc",
    te: "trailers",
  });
  expect(calls[0].body).toEqual(frame(JSON.stringify({ pods: "x".repeat(150), name: "theirs", config: {} })));
});

test("with grpcs the program's certificate is checked: its host and its authority", async () => {
  const usual = getCACertificates("default");
  open.push(() => setDefaultCACertificates(usual));
  const authority = await issueAuthority("ours", 3_600_000, Date.now());
  const certified = async (name: string) => {
    const { certificate, key } = await issueServing(authority, [name], 3_600_000, Date.now());
    return programOf((stream) => respond(stream, frame('{"stable": true, "message": "well"}')), {
      cert: certificate,
      key,
    });
  };
  const { url } = await certified("127.0.0.1");
  await expect(ask(url)).rejects.toMatchObject({
    code: "Unreachable",
    message: expect.stringMatching(/certificate of an unknown authority; .*NODE_EXTRA_CA_CERTS$/),
  });
  setDefaultCACertificates([...usual, authority.certificate]);
  expect(await ask(url)).toEqual({ stable: true, message: "well" });
  const another = await certified("127.0.0.2");
  await expect(ask(another.url)).rejects.toMatchObject({
    code: "Unreachable",
    message: expect.stringContaining("certificate for another host"),
  });
});

test.each<{ name: string; answer: (stream: http2.ServerHttp2Stream) => void; code: string; says: string }>([
  {
    name: "a failure in trailers alone",
    answer: (stream) => stream.respond({ ":status": 200, "grpc-status": "12" }, { endStream: true }),
    code: "NotFound",
    says: "knows no Stability",
  },
  {
    name: "a failure after an answer",
    answer: (s) => respond(s, frame('{"stable": true}'), "13"),
    code: "ServerError",
    says: "status 13",
  },
  { name: "a refusal", answer: (s) => respond(s, Buffer.alloc(0), "7"), code: "Unauthorized", says: "refuses" },
  {
    name: "half a frame",
    answer: (s) => respond(s, frame('{"stable": true}').subarray(0, -3)),
    code: "BadAnswer",
    says: "no message",
  },
  { name: "no message", answer: (s) => respond(s, Buffer.alloc(0)), code: "BadAnswer", says: "no message" },
  {
    name: "a message of another kind",
    answer: (s) => respond(s, Buffer.from([0, 0, 0, 0, 2, 0x08, 1])),
    code: "BadAnswer",
    says: "no message",
  },
  { name: "text that is no JSON", answer: (s) => respond(s, frame("fine")), code: "BadAnswer", says: "JSON object" },
  {
    name: "an HTTP error",
    answer: (s) => s.respond({ ":status": 503 }, { endStream: true }),
    code: "BadAnswer",
    says: "HTTP status 503",
  },
  { name: "more than 1 MiB", answer: (s) => respond(s, longFrame(2 ** 20 + 1)), code: "TooLarge", says: "1 MiB" },
  { name: "silence", answer: () => {}, code: "Timeout", says: "within 0.4 s" },
])("$name is no answer", async ({ answer, code, says }) => {
  const { url } = await programOf(answer);
  await expect(ask(url)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(new RegExp(`external program theirs.*${says}`)),
  });
});

test.each([
  { status: "8", name: "RESOURCE_EXHAUSTED" },
  { status: "4", name: "DEADLINE_EXCEEDED" },
  { status: "14", name: "UNAVAILABLE" },
])(
  "$name of the program's own is its failure, asked once: in trailers after headers, and alone",
  async ({ status }) => {
    for (const answer of [
      (stream: http2.ServerHttp2Stream) => respond(stream, Buffer.alloc(0), status),
      (stream: http2.ServerHttp2Stream) =>
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": status },
          { endStream: true },
        ),
    ]) {
      const { url, calls } = await programOf(answer);
      await expect(ask(url)).rejects.toMatchObject({
        code: "ServerError",
        message: expect.stringContaining(`failed at Stability (gRPC status ${status})`),
      });
      expect(calls).toHaveLength(1);
    }
  },
);

test("a program that is not there, and addresses that must not be called, are said", async () => {
  await expect(ask("grpc://127.0.0.1:1")).rejects.toMatchObject({ code: "Unreachable" });
  const to = (url: string) => new ExternalPrograms({ urls: new Map([["theirs", url]]), addresses: {} });
  expect(() => to("grpc://169.254.169.254:80")).toThrow("metadata");
  await expect(to("grpc://localhost:1").ask({ name: "theirs" }, "/order", {})).rejects.toMatchObject({
    code: "BadAddress",
  });
});
