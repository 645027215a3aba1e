import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StandbyMode } from "../../src/pods/sidecar-protocol.ts";
import { applications, Pod, whyNoPods } from "../e2e/standby/rig.ts";
import { type Swap, startZram, whyNoZram } from "../e2e/standby/swap.ts";

const cycles = 5;
const coldStarts = 3;
const warmRequests = 1500;
/** The figures to reach: first answer, everything back, memory given back. */
const targets = { Image: 1 / 5, Swap: 1 / 20, everything: 1 / 4, given: 0.95, sidecarMib: 20 };

interface Row {
  readonly mode: StandbyMode;
  readonly coldFirstMs: number;
  readonly coldWarmedMs: number;
  readonly freezeMs: number;
  readonly firstMs: number;
  readonly everythingMs: number;
  readonly anonymousMib: number;
  readonly givenShare: number;
  readonly rightAnswers: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Times from a cold start to the first answer and to the last of the warming requests. */
async function startCold(pod: Pod, kind: "jvm" | "node", mib: number): Promise<{ firstMs: number; warmedMs: number }> {
  const startedMs = performance.now();
  const firstMs = await pod.startApplication(applications[kind](pod.port, mib));
  for (let i = 0; i < warmRequests; i++) await pod.ask();
  return { firstMs, warmedMs: performance.now() - startedMs };
}

/** One application, started cold three times, then frozen and woken five times. */
async function measure(kind: "jvm" | "node", mib: number, mode: "Image" | "Swap"): Promise<Row> {
  let swap: Swap | undefined;
  const pod = await Pod.start();
  try {
    if (mode === "Swap") swap = startZram(2048);
    const colds = [await startCold(pod, kind, mib)];
    while (colds.length < coldStarts) {
      for (const pid of pod.applicationPids) process.kill(pid, "SIGKILL");
      await pod.isGone();
      colds.push(await startCold(pod, kind, mib));
    }
    const coldFirstMs = median(colds.map(({ firstMs }) => firstMs));
    const coldWarmedMs = median(colds.map(({ warmedMs }) => warmedMs));
    const sidecar = await pod.startSidecar();
    const firsts: number[] = [];
    const wholes: number[] = [];
    const freezes: number[] = [];
    const shares: number[] = [];
    let rightAnswers = 0;
    let anonymous = 0;
    for (let i = 0; i < cycles; i++) {
      anonymous = pod.anonymousBytes;
      const report = await sidecar.freeze(mode);
      if (report.mode !== mode) throw new Error(`${kind} was not frozen in ${mode} mode: ${report.message}`);
      freezes.push(sidecar.tookMs);
      shares.push(1 - pod.anonymousBytes / anonymous);
      // The request waits at the frozen application's door, so its answer comes with the first moment that there can be one.
      const wokenMs = performance.now();
      const thawed = sidecar.thaw();
      const first = await pod.ask();
      firsts.push(performance.now() - wokenMs);
      const everything = await pod.ask("check");
      wholes.push(performance.now() - wokenMs);
      await thawed;
      if (first?.startsWith("ok") && everything?.startsWith("ok")) rightAnswers++;
    }
    return {
      ...{ mode, coldFirstMs, coldWarmedMs, rightAnswers, anonymousMib: anonymous / 2 ** 20 },
      ...{ freezeMs: median(freezes), firstMs: median(firsts), everythingMs: median(wholes) },
      givenShare: median(shares),
    };
  } finally {
    await pod.end();
    swap?.end();
  }
}

/** Private memory of `forescale sidecar` once it is idle, MiB, started as its image starts it: with its code compiled before. */
async function measureSidecar(): Promise<number> {
  const cache = mkdtempSync(join(tmpdir(), "forescale-compiled-"));
  const pod = await Pod.start();
  try {
    const main = join(import.meta.dirname, "../../src/main.ts");
    const node = [
      "env",
      `NODE_COMPILE_CACHE=${cache}`,
      "FORESCALE_SERVER=127.0.0.1:1",
      process.execPath,
      main,
      "sidecar",
    ];
    await new Promise((resolve) => pod.run("sidecar", [...node, "--help"]).once("close", resolve));
    const folders = ["--state-folder", pod.folder, "--key-folder", pod.keyFolder, "--identity-folder", pod.folder];
    pod.run("sidecar", [...node, ...folders, "--probe-port", String(pod.port)]);
    await sleep(15_000);
    return pod.sidecarPids.reduce((sum, pid) => {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
      const kib = (field: string) => Number(rollup.match(new RegExp(`^${field}:\\s+(\\d+)`, "m"))?.[1] ?? 0);
      return sum + (kib("Private_Dirty") + kib("Private_Clean")) / 1024;
    }, 0);
  } finally {
    await pod.end();
    rmSync(cache, { recursive: true });
  }
}

async function run(show: (text: string) => void): Promise<void> {
  const why = whyNoPods() ?? whyNoZram();
  if (why) throw new Error(why);
  const line = (cells: readonly (string | number)[]) => process.stdout.write(`| ${cells.join(" | ")} |\n`);
  line([
    "application",
    "mode",
    "anonymous MiB",
    "cold: first, warmed ms",
    "freeze ms",
    "first answer ms",
    "÷ cold first",
    "everything ms",
    "÷ cold warmed",
    "given back",
    "right",
  ]);
  line(["---", "---", ...Array.from({ length: 9 }, () => "---:")]);
  for (const [kind, mib] of [
    ["jvm", 256],
    ["node", 160],
  ] as const)
    for (const mode of ["Image", "Swap"] as const) {
      show(`${kind}, ${mode}`);
      const row = await measure(kind, mib, mode);
      line([
        ...[kind, mode, row.anonymousMib.toFixed(0), `${row.coldFirstMs.toFixed(0)}, ${row.coldWarmedMs.toFixed(0)}`],
        ...[row.freezeMs.toFixed(0), row.firstMs.toFixed(0), (row.firstMs / row.coldFirstMs).toFixed(3)],
        ...[row.everythingMs.toFixed(0), (row.everythingMs / row.coldWarmedMs).toFixed(3), row.givenShare.toFixed(3)],
        `${row.rightAnswers}/${cycles}`,
      ]);
    }
  process.stdout.write(
    `\nTo reach: first answer ${targets.Image} of cold in image mode and ${targets.Swap} in swap mode, everything back ${targets.everything}, ` +
      `given back ${targets.given}.\n`,
  );
  show("the sidecar's own memory");
  const mib = await measureSidecar();
  process.stdout.write(
    `\nPrivate memory of an idle sidecar: ${mib.toFixed(1)} MiB (to reach: ${targets.sidecarMib}).\n`,
  );
}

export default { name: "Standby: waking up beside starting cold", run };
