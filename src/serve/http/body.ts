import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Refusal, refuse } from "./status.ts";

const patienceMs = 1000;

/**
 * Reads a request's body.
 *
 * @param limitBytes a longer one is refused with 413, after a moment in which the sender may finish: closing at once
 *   would reset the connection and lose the answer
 */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer | Refusal> {
  const tooLarge = refuse(413, `the body is larger than ${limitBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > limitBytes) {
    await drain(request);
    return tooLarge;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > limitBytes) {
      await drain(request);
      return tooLarge;
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

async function drain(request: IncomingMessage): Promise<void> {
  const end = new Promise<void>((resolve) => {
    request.once("end", resolve);
    request.once("close", resolve);
  });
  request.resume();
  await Promise.race([end, sleep(patienceMs, undefined, { ref: false })]);
}
