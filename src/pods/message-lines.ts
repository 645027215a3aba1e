import { longestLineBytes } from "./sidecar-protocol.ts";

const newline = 10;

/**
 * Cuts a stream of bytes into lines of JSON.
 *
 * @param onValue each line's value; undefined for an empty line, which only says that the other side lives
 * @returns takes the next bytes; @throws RangeError for a line that is too long, SyntaxError for one that is no JSON
 */
export function readLines(onValue: (value: unknown) => void): (chunk: Buffer) => void {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  return (chunk) => {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      const piece = chunk.subarray(from, end);
      checkLength(pendingBytes + piece.length);
      const line = pending.length > 0 ? Buffer.concat([...pending, piece]) : piece;
      pending = [];
      pendingBytes = 0;
      from = end + 1;
      onValue(line.length === 0 ? undefined : JSON.parse(line.toString("utf8")));
    }
    if (from === chunk.length) return;
    checkLength(pendingBytes + chunk.length - from);
    // A copy: the chunk's memory is the socket's and may be large.
    pending.push(Buffer.from(chunk.subarray(from)));
    pendingBytes += chunk.length - from;
  };
}

function checkLength(bytes: number): void {
  if (bytes > longestLineBytes) throw new RangeError(`a line of more than ${longestLineBytes} bytes`);
}

/** A message as it goes over the wire. */
export function lineOf(message: object): string {
  return `${JSON.stringify(message)}\n`;
}
