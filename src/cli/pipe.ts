import { createInterface } from "node:readline";
import { type Io, UsageError } from "./command.ts";

/**
 * The loop of the pipe commands: one JSON line in, one out, in order, each flushed before the next is read.
 * A line that `answer` can't take (it throws) gets `{...about(line), error}`, and the rest go on. Ends with the input, exit code 0.
 *
 * @param positionals what stands after the command's options: nothing may
 * @param about what identifies a request in an error answer, given the parsed line or undefined where it is no JSON
 */
export async function pipe(
  io: Io,
  positionals: readonly string[],
  answer: (request: Record<string, unknown>) => unknown | Promise<unknown>,
  about: (request: Record<string, unknown> | undefined) => object,
): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(
      `"${positionals[0]}" is not expected; JSON lines come on standard input, as in \`< ${positionals[0]}\``,
    );
  const lines = createInterface({ input: io.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === "") continue;
    let request: Record<string, unknown> | undefined;
    let reply: unknown;
    try {
      request = parseObject(line, number);
      reply = await answer(request);
    } catch (error) {
      reply = { ...about(request), error: (error as Error).message };
    }
    if (!(await write(io.stdout, `${JSON.stringify(reply)}\n`))) break; // the reader has gone
  }
  return 0;
}

function parseObject(line: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Error(`line ${number} is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`line ${number} is not a JSON object`);
  return value as Record<string, unknown>;
}

function write(stream: NodeJS.WritableStream, text: string): Promise<boolean> {
  return new Promise((resolve) => stream.write(text, (error) => resolve(!error)));
}
