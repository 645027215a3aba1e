import { Worker } from "node:worker_threads";
import { type Answer, type AnswerRules, readAnswer } from "./answer.ts";

/** Larger bodies are parsed on a worker thread: 26 MB of samples would block the event loop for a second. */
const largestParsedHere = 2 ** 20;
/** Heap of such a worker: JSON that is all brackets takes twenty times its bytes, and must not take the program with it. */
const workerHeapMb = 1_024;

/** Reads an answer, beside the event loop where it is large. See `readAnswer` for what is checked. */
export async function readBody(body: Buffer, rules: AnswerRules, signal?: AbortSignal): Promise<Answer> {
  if (body.length <= largestParsedHere) return readAnswer(body.toString("utf8"), rules);
  const bytes = new Uint8Array(body); // its own memory, so that it can be handed over rather than copied
  const worker = new Worker(new URL("./answer-worker.ts", import.meta.url), {
    workerData: { body: bytes, rules },
    transferList: [bytes.buffer as ArrayBuffer],
    resourceLimits: { maxOldGenerationSizeMb: workerHeapMb },
    execArgv: [],
  });
  const stop = () => void worker.terminate();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    return await new Promise<Answer>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ERR_WORKER_OUT_OF_MEMORY") resolve(outOfMemory);
        else reject(error);
      });
      worker.once("exit", () => resolve({ kind: "Fault", code: "Stopped", message: "was not waited for any longer" }));
    });
  } finally {
    signal?.removeEventListener("abort", stop);
    void worker.terminate();
  }
}

const outOfMemory: Answer = {
  kind: "Fault",
  code: "TooLarge",
  message: `sent an answer that takes more than ${workerHeapMb} MiB to read; ask for fewer series or points`,
};
