import { parentPort, workerData } from "node:worker_threads";
import { type AnswerRules, readAnswer } from "./answer.ts";

/** Reads one large answer beside the event loop, hands it over and ends. */
const { body, rules } = workerData as { body: Uint8Array; rules: AnswerRules };
const answer = readAnswer(new TextDecoder().decode(body), rules);
const buffers = answer.kind === "Series" ? answer.series.flatMap((s) => [s.timesMs.buffer, s.values.buffer]) : [];
parentPort!.postMessage(answer, buffers as ArrayBuffer[]);
