/**
 * A sidecar driven by its parent: one command a line on standard input (`freeze MODE`, `thaw`), JSON lines out, one for each
 * report and one for each answer. As asked it dies by SIGKILL at a step, kills its helper there, or fills its volume.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { StandbyMode } from "../../../src/pods/sidecar-protocol.ts";
import { Freezer } from "../../../src/sidecar/freeze/freezer.ts";

const { folder, keyFolder, helper, url, limits, dieAt, killHelperAt, killHelperAfterMs, fillAt } = JSON.parse(
  process.argv[2],
);
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
let killsLeft = 1;

const freezer = new Freezer({
  folder,
  keyFolder,
  helper,
  limits,
  answers: async () => (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok,
  onReport: (report) => say({ report }),
  log: {
    info: (message, fields) => process.env.VERBOSE && process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
    warn: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  },
  onStep(step, helperPid) {
    say({ step, atMs: performance.now() });
    if (step === dieAt) process.kill(process.pid, "SIGKILL");
    if (step === fillAt) fill(join(folder, "filler"));
    if (step !== killHelperAt || killsLeft === 0 || helperPid === undefined) return;
    killsLeft--;
    if (killHelperAfterMs === undefined) process.kill(helperPid, "SIGKILL");
    else setTimeout(() => process.kill(helperPid, "SIGKILL"), killHelperAfterMs);
  },
});
/** Leaves no byte of a volume free. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(1 << 20));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

say({ done: await freezer.start() });
async function obey(line: string): Promise<void> {
  const [command, mode] = line.split(" ");
  if (command === "die") process.kill(process.pid, "SIGKILL");
  const beganMs = performance.now();
  const report = command === "freeze" ? await freezer.freeze(mode as StandbyMode) : await freezer.thaw();
  say({ done: report, tookMs: performance.now() - beganMs });
}

// Commands are not waited for: a thaw may call a freeze off.
createInterface({ input: process.stdin }).on("line", (line) => void obey(line));
