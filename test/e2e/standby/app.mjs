/** A Node server over many small objects: app.mjs PORT MIB. `/` reads 500 of them, `/check` all; each has its checksum. */
import { createServer } from "node:http";

const [port, mib] = process.argv.slice(2).map(Number);
const count = mib * 1500;
const rows = new Map();
const sums = new Float64Array(count);

let state = 20011;
function next() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state;
}

function sumOf(row) {
  let sum = row.id;
  for (let i = 0; i < row.text.length; i += 3) sum = (Math.imul(sum, 31) + row.text.charCodeAt(i)) | 0;
  for (const value of row.values) sum = (sum ^ value) | 0;
  return sum;
}

for (let id = 0; id < count; id++) {
  let text = "";
  while (text.length < 160) text += next().toString(36);
  const row = {
    id,
    text: Buffer.from(text).toString("latin1"),
    values: Array.from({ length: 8 }, next),
    more: { half: next() / 2 },
  };
  rows.set(id, row);
  sums[id] = sumOf(row);
}

function check(ids) {
  for (const id of ids) if (sumOf(rows.get(id)) !== sums[id]) return `BAD ${id}`;
  return `ok ${process.pid}`;
}

let ticks = 0;
setInterval(() => ticks++, 5);
createServer((request, response) => {
  if (request.url === "/slow") return setTimeout(() => response.end("slow\n"), 1500);
  if (request.url === "/kept") return response.end("kept\n"); // the connection stays
  const some = Array.from({ length: 500 }, () => Math.floor(Math.random() * count));
  response.setHeader("connection", "close");
  response.end(`${check(request.url === "/check" ? rows.keys() : some)}\n`);
}).listen(port, "127.0.0.1");
