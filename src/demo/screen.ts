import { busyPods } from "../backtest/replay/load.ts";
import { bandChart, type Column, type Palette, sparkline } from "./chart.ts";
import { plainTarget, policyNames, startupMs, tickMs } from "./replay.ts";
import type { Stage } from "./run.ts";
import { describeHours, describeSpeed, percent, policyTitles, wrap } from "./summary.ts";

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

const axisWidth = 4;
const chartLeft = axisWidth + 2;
/** Below this a chart says nothing. */
const fewestChartRows = 3;
const columnMs = 600_000;

/**
 * The whole screen as lines. Each fits the width but the last one, the line to copy, which the terminal wraps by itself: only
 * so it is copied as one line.
 */
export function drawScreen(stage: Stage, size: ScreenSize, colours: Palette): string[] {
  const { columns } = size;
  const head = header(stage, columns, colours);
  const table = scoreTable(stage, columns, colours);
  const decision = decisionLines(stage, columns, colours);
  const curl = [
    colours.dim(cut("The HPA's metric, from the real server over TLS; paste this while the demo runs:", columns)),
    stage.curl,
  ];
  const curlRows = 1 + Math.ceil(stage.curl.length / columns);
  const rest = size.rows - head.length - table.length - decision.length - curlRows;
  const chart = rest >= fewestChartRows + 2 ? chartLines(stage, columns, Math.min(rest, 24), colours) : [];
  const above = [...head, ...chart, ...table, ...decision];
  // Too small a terminal loses the table and the decision before the line to copy.
  const room = size.rows - curlRows;
  return room >= 2 ? [...above.slice(0, room), ...curl] : above.slice(0, size.rows);
}

function header({ trace, replay, pace }: Stage, columns: number, colours: Palette): string[] {
  const { done, all } = replay.ticks;
  const title = "Forescale demo";
  const source = cut(`  ${trace.title}`, Math.max(0, columns - title.length));
  const asked = describeSpeed(pace.wanted);
  const speed =
    pace.current < pace.wanted ? `${describeSpeed(pace.current)}, not ${asked}: this machine's best` : asked;
  const left = [describeTime(replay.nowMs), speed].join(" · ");
  const share = all > 0 ? done / all : 1;
  const right = `${describeHours((done * tickMs) / 3_600_000)} of ${describeHours((all * tickMs) / 3_600_000)} · Ctrl-C ends`;
  const room = columns - left.length - right.length - 4;
  const bar = room >= 6 ? ` ${progress(share, Math.min(room, 30))} ` : " · ";
  return [`${colours.bold(title)}${colours.dim(source)}`, cut(`${left} ${bar} ${right}`, columns)];
}

function chartLines({ trace, replay, forecasts }: Stage, columns: number, rows: number, colours: Palette): string[] {
  const width = columns - chartLeft;
  const past = Math.round(width * 0.62);
  const { latest } = forecasts;
  const stepMs = Math.max(columnMs, trace.load.stepMs);
  const nowMs = replay.nowMs;
  const cells: Column[] = [];
  // Columns lie on whole steps of the clock, so that bars do not flicker as time passes.
  const firstMs = (Math.floor(nowMs / stepMs) - past + 1) * stepMs;
  const { moments } = replay;
  for (let k = 0; k < past; k++) {
    const fromMs = firstMs + k * stepMs;
    cells.push(pastColumn(trace, moments, fromMs, Math.min(fromMs + stepMs, nowMs)));
  }
  for (let k = past; k < width; k++) {
    const fromMs = firstMs + k * stepMs;
    const at = latest && Math.floor((fromMs - latest.startMs) / latest.stepMs);
    const until = latest && Math.max(at! + 1, Math.ceil((fromMs + stepMs - latest.startMs) / latest.stepMs));
    if (latest === undefined || at! < 0 || at! >= latest.mean.length) cells.push({ load: Number.NaN });
    else {
      const [low, middle, high] = [0.05, 0.5, 0.95].map((level) => {
        const row = latest.quantiles[latest.levels.indexOf(level)].subarray(at!, until!);
        return row.reduce((a, b) => a + b, 0) / row.length / trace.podCarries;
      });
      cells.push({ low, middle, high });
    }
  }
  const legend = [
    "pods that the load needs ",
    colours.load("▆"),
    "  Forescale's pods ",
    colours.forescale("╌"),
    "  forecast ",
    colours.forecast("━"),
    " 5–95 % ",
    colours.band("░"),
  ].join("");
  return [
    cutPainted(`${" ".repeat(chartLeft)}${legend}`, columns),
    ...bandChart(cells, rows - 2, colours, axisWidth),
    colours.dim(timeAxis(firstMs, stepMs, past, width)),
  ];
}

function pastColumn(
  trace: Stage["trace"],
  moments: Stage["replay"]["moments"],
  fromMs: number,
  untilMs: number,
): Column {
  const { load, podCarries, replayFromMs } = trace;
  const first = Math.floor((fromMs - load.startMs) / load.stepMs);
  const last = Math.max(first + 1, Math.ceil((untilMs - load.startMs) / load.stepMs));
  let [sum, count] = [0, 0];
  for (let i = Math.max(0, first); i < Math.min(last, load.values.length); i++) {
    if (Number.isNaN(load.values[i])) continue;
    sum += load.values[i];
    count++;
  }
  const at = Math.min(moments.length - 1, Math.floor((untilMs - 1 - replayFromMs) / tickMs));
  const pods = at >= 0 && untilMs > replayFromMs ? moments[at].pods.forescale : undefined;
  return { load: count > 0 ? sum / count / podCarries : Number.NaN, ...(pods !== undefined && { pods }) };
}

/** Hours below the chart, and where the present ends. */
function timeAxis(firstMs: number, stepMs: number, past: number, width: number): string {
  const cells = Array.from({ length: width }, () => " ");
  const put = (at: number, text: string) => {
    const from = Math.max(0, Math.min(width - text.length, at));
    // One label never runs into another.
    if (cells.slice(Math.max(0, from - 1), from + text.length + 1).some((cell) => cell !== " ")) return;
    for (let i = 0; i < text.length; i++) cells[from + i] = text[i];
  };
  put(past - 5, "now ▲");
  const everyMs = Math.max(3_600_000 * 2, Math.ceil((stepMs * 14) / 3_600_000) * 3_600_000);
  for (let k = 0; k < width; k++) {
    const timeMs = firstMs + k * stepMs;
    if (timeMs % everyMs === 0 && k + 5 <= width) put(k, new Date(timeMs).toISOString().slice(11, 16));
  }
  return " ".repeat(chartLeft) + cells.join("");
}

function scoreTable({ replay, trace }: Stage, columns: number, colours: Palette): string[] {
  const numbers = (pods: string, short: string, hours: string, unserved: string) =>
    `${pods.padStart(5)}${short.padStart(14)}${hours.padStart(11)}${unserved.padStart(10)}`;
  const nameWidth = 10;
  const room = columns - nameWidth - 40 - 2;
  const width = Math.max(0, room);
  const { moments } = replay;
  const each = Math.max(1, Math.round(columnMs / tickMs));
  const shown = moments.length === 0 ? [] : sample(moments, each, width);
  const top = Math.max(1, ...shown.flatMap(({ pods }) => Object.values(pods)));
  const spanHours = `last ${describeHours((width * each * tickMs) / 3_600_000)}`;
  const spanTitle = width >= spanHours.length ? spanHours.padEnd(width) : "".padEnd(width);
  const rows = policyNames.map((policy) => {
    const { podHours, underProvisionedMinutes, unserved } = replay.score(policy);
    const values = [
      ...Array.from({ length: width - shown.length }, () => Number.NaN),
      ...shown.map(({ pods }) => pods[policy]),
    ];
    const now = moments.at(-1)?.pods[policy] ?? 0;
    const cells = [
      colours[policy](policyTitles[policy].padEnd(nameWidth)),
      colours[policy](sparkline(values, top)),
      numbers(String(now), `${underProvisionedMinutes.toFixed(1)} min`, podHours.toFixed(1), percent(unserved)),
    ];
    return cutPainted(cells.join(""), columns);
  });
  const note =
    `plain HPA: ${plainTarget * 100} % target · ${busyPods} pods of ${trace.podCarries} ${trace.unit} do 99.9 % of the time` +
    ` · start-up ${startupMs / 1000} s`;
  return [
    "",
    colours.dim(
      cut(`${"".padEnd(nameWidth)}${spanTitle}${numbers("pods", "too few for", "pod-hours", "unserved")}`, columns),
    ),
    ...rows,
    colours.dim(cut(note, columns)),
  ];
}

/** The last moments, one for each `each`, at whole multiples so that the line moves in steps. */
function sample<T>(moments: readonly T[], each: number, most: number): T[] {
  const last = Math.floor((moments.length - 1) / each);
  const sampled: T[] = [];
  for (let k = Math.max(0, last - most + 1); k <= last; k++) sampled.push(moments[k * each]);
  return sampled;
}

function decisionLines({ replay }: Stage, columns: number, colours: Palette): string[] {
  const { decision, reading } = replay;
  if (decision === undefined) return ["", ""];
  const read =
    reading.kind === "Values"
      ? `the HPA read ${reading.values.join(", ")}`
      : `the HPA read nothing${reading.kind === "Missing" ? `: ${reading.why}` : ""}`;
  const title = "Decision";
  const lines = wrapAtMost(`${title} ${decision.rung}, ${decision.reason}: ${decision.message}; ${read}`, columns, 3);
  const painted = [colours.bold(title) + lines[0].slice(title.length), ...lines.slice(1)];
  return [...painted, ...Array.from({ length: 3 - lines.length }, () => "")];
}

function describeTime(timeMs: number): string {
  const date = new Date(timeMs);
  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][date.getUTCDay()];
  return `${day} ${date.toISOString().slice(0, 16).replace("T", " ")}`;
}

function progress(share: number, width: number): string {
  const filled = Math.round(share * width);
  return "━".repeat(filled) + "┈".repeat(width - filled);
}

/** At most `most` lines; what does not fit is cut off and marked. */
function wrapAtMost(text: string, columns: number, most: number): string[] {
  const lines = wrap(text, columns);
  return lines
    .slice(0, most)
    .map((line, k) => cut(k === most - 1 && lines.length > most ? `${line} …` : line, columns));
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}

/** As `cut`, for text with colours: escape codes take no room. */
function cutPainted(text: string, columns: number): string {
  let width = 0;
  let kept = "";
  for (const [part] of text.matchAll(/\x1b\[[0-9;]*m|./gsu)) {
    if (part.startsWith("\x1b")) kept += part;
    else if (width < columns) {
      kept += part;
      width++;
    }
  }
  return kept;
}
