// A server that holds much memory and can tell whether all of it is still what it was: `checked-store.ts PORT MEBIBYTES`.
// GET /healthz: 200 once it is filled. /check: all rows are verified. /hot: 500 rows of a small set that stays the same,
// as a usual request. Both answer {"ok", "instance", "requests", "rows"}, 500 when a row is damaged; `instance` differs
// in each process and `requests` counts the answers of this one. SIGTERM ends it.
import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";

interface Row {
  readonly text: string;
  readonly numbers: number[];
  readonly bytes: Buffer;
}

const [port, mebibytes] = process.argv.slice(2).map(Number);
if (!(port > 0 && mebibytes > 0)) throw new RangeError("Usage: checked-store.ts PORT MEBIBYTES");
const rowCount = mebibytes * 512; // two KiB each, about half on the heap and half beside it
const instance = randomUUID();
let requests = 0;

// xorshift32: quick, and it never repeats within what is held, so that no page is like another.
let state = 0x9e3779b9;
function next(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}

function fill(): Row {
  const text = Array.from({ length: 70 }, () => next().toString(36)).join("");
  const numbers = Array.from({ length: 40 }, () => next() / 3);
  const bytes = Buffer.allocUnsafeSlow(1024);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(next(), at);
  return { text: Buffer.from(text).toString("latin1"), numbers, bytes };
}

function checksum({ text, numbers, bytes }: Row): string {
  return createHash("sha1").update(text).update(Float64Array.from(numbers)).update(bytes).digest("base64");
}

const rows = Array.from({ length: rowCount }, fill);
const checksums = rows.map(checksum);

function damagedAmong(indexes: Iterable<number>): number {
  let damaged = 0;
  for (const index of indexes) if (checksum(rows[index]) !== checksums[index]) damaged++;
  return damaged;
}

const hot = Array.from({ length: 500 }, () => next() % rowCount);
const server = createServer((request, response) => {
  if (request.url === "/healthz") return void response.end("ok\n");
  if (request.url !== "/check" && request.url !== "/hot") return void response.writeHead(404).end();
  const damaged = damagedAmong(request.url === "/check" ? rows.keys() : hot);
  requests++;
  response.writeHead(damaged === 0 ? 200 : 500, { "content-type": "application/json" });
  response.end(JSON.stringify({ ok: damaged === 0, instance, requests, rows: rowCount, damaged }) + "\n");
});
server.listen(port, "0.0.0.0", () => console.log(`filled ${mebibytes} MiB, listening on ${port}`));
process.on("SIGTERM", () => process.exit(0));
