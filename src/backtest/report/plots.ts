import type { BacktestResult } from "../backtest.ts";
import { targetText } from "../replay/tune-target.ts";
import { area, axes, curve, type Frame, linear, place, roundTicks } from "./axes.ts";
import { horizonText, percent, policyTitle } from "./describe.ts";
import { placeLabels } from "./labels.ts";
import { type Markup, markup } from "./markup.ts";
import { bandLevels } from "./pictures.ts";

const hourMs = 3_600_000;

/** The replay: load, the forecast's band as it was, and the pods of three policies. */
export function replayPlot({ pictures, name }: BacktestResult): Markup {
  const frame: Frame = { width: 1120, height: 340, left: 48, right: 12, top: 30, bottom: 36 };
  const { startMs, stepMs, load, peak, low, median, high, pods } = pictures;
  const points = load.length;
  const endMs = startMs + points * stepMs;
  // One wild quantile must not flatten the rest.
  const most = Math.max(largest(peak), largest(pods.forescale), largest(pods.hpa), largest(pods.oracle), 1);
  const top = Math.min(Math.max(most, largest(high)), 1.6 * most) * 1.04;
  const x = linear(startMs, endMs, frame.left, frame.width - frame.right);
  const y = linear(0, top, frame.height - frame.bottom, frame.top);
  const clipped = (values: Float64Array) => values.map((value) => Math.min(value, top));
  const starts = Array.from({ length: points }, (_, i) => x(startMs + i * stepMs));
  const middles = starts.map((at) => at + (x(stepMs) - x(0)) / 2);
  return picture(frame, `Load, forecast and pods of ${name} over the replay`, [
    axes(
      frame,
      timeTicks(startMs, endMs - (endMs - startMs) * 0.02).map(({ timeMs, label }) => ({ at: x(timeMs), label })),
      roundTicks(top, 5).map((value) => ({ at: y(value), label: String(value) })),
      "",
      "pods; times are UTC",
    ),
    markup`<path class="band" d="${area(starts, clipped(low), clipped(high), y)}"/>`,
    markup`<path class="line median" d="${curve(starts, clipped(median), y)}"/>`,
    markup`<path class="peak" d="${area(middles, load, peak, y)}"/>`,
    markup`<path class="line load" d="${curve(middles, load, y)}"/>`,
    markup`<path class="line oracle" d="${curve(starts, pods.oracle, y, true)}"/>`,
    markup`<path class="line hpa" d="${curve(starts, pods.hpa, y, true)}"/>`,
    markup`<path class="line forescale" d="${curve(starts, pods.forescale, y, true)}"/>`,
  ]);
}

export function replayLegend({ policies }: BacktestResult): Markup {
  return legend([
    ["load", "pods that the load needs: mean and peak"],
    ["band", `forecast as it was, ${bandLevels.low} to ${bandLevels.high} quantile`],
    ["forescale", "Forescale"],
    ["hpa", policyTitle("hpaTuned", policies.hpaTuned)],
    ["oracle", "oracle"],
  ]);
}

const shortTicks = [0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1];
const costTicks = [1, 1.2, 1.5, 2, 3, 4, 6, 8, 12, 20, 40, 80, 150, 300];

/** Cost against quality of every policy and target tried: low and left is good. */
export function costPlot({ policies, tried, name }: BacktestResult): Markup {
  const frame: Frame = { width: 548, height: 330, left: 52, right: 24, top: 30, bottom: 38 };
  const all = [...Object.values(policies), ...tried];
  const dearest = Math.max(1.5, ...all.map((each) => each.overOracle).filter(Number.isFinite));
  const cheapest = Math.min(1, ...all.map((each) => each.overOracle).filter((value) => value > 0));
  const shortest = Math.max(0.005, ...all.map(({ underProvisioned }) => underProvisioned));
  // Costs are ratios; small shares of time matter most.
  const logX = linear(Math.log(cheapest * 0.97), Math.log(dearest * 1.05), frame.left, frame.width - frame.right);
  const x = (value: number) => logX(Math.log(Math.max(value, 1e-9)));
  const rootY = linear(0, Math.sqrt(shortest) * 1.04, frame.height - frame.bottom, frame.top);
  const y = (value: number) => rootY(Math.sqrt(value));
  const front = (policy: "hpa" | "cron", title: string) => {
    const points = tried.filter((each) => each.policy === policy);
    return [
      markup`<path class="line ${policy}" d="${curve(
        points.map(({ overOracle }) => x(overOracle)),
        points.map(({ underProvisioned }) => underProvisioned),
        y,
      )}"/>`,
      ...points.map(
        ({ target, overOracle, underProvisioned }) =>
          markup`<circle class="dot ${policy}" cx="${place(x(overOracle))}" cy="${place(y(underProvisioned))}" r="3"><title>${title}, target ${targetText(target)}: ${overOracle.toFixed(3)} × oracle, too few pods ${percent(underProvisioned)} of the time</title></circle>`,
      ),
    ];
  };
  // The first name is placed first, the last point is drawn over the others.
  const marked = (["forescale", "oracle", "fixed"] as const).map((policy) => {
    const { overOracle, underProvisioned } = policies[policy];
    return { policy, cx: x(overOracle), cy: y(underProvisioned), title: policyTitle(policy) };
  });
  const labels = placeLabels(frame, marked);
  const marks = marked.map(({ policy, cx, cy, title }, k) => {
    const { overOracle, underProvisioned } = policies[policy];
    const label = labels[k];
    return markup`<circle class="dot ${policy}" cx="${place(cx)}" cy="${place(cy)}" r="${policy === "forescale" ? 7 : 5}"><title>${title}: ${overOracle.toFixed(3)} × oracle, too few pods ${percent(underProvisioned)} of the time</title></circle><text class="label ${policy}" x="${place(label.x)}" y="${place(label.y)}" text-anchor="${label.anchor}">${title}</text>`;
  });
  const ticks = thinned(
    costTicks
      .filter((value) => value >= cheapest * 0.97 && value <= dearest * 1.05)
      .map((value) => ({ at: x(value), label: `${value}×` })),
    34,
  );
  const lines = thinned(
    shortTicks
      .filter((value) => value <= shortest * 1.08)
      .map((value) => ({ at: y(value), label: percentTick(value) })),
    16,
  );
  return picture(frame, `Cost and quality of each policy for ${name}`, [
    axes(frame, ticks, lines, "pod-hours ÷ oracle's", "share of time with too few pods"),
    ...front("cron", "schedule + HPA"),
    ...front("hpa", "HPA"),
    ...marks.reverse(),
  ]);
}

export function costLegend(): Markup {
  return legend([
    ["forescale", "Forescale"],
    ["hpa", "plain HPA, each target tried"],
    ["cron", "the past's schedule + HPA"],
  ]);
}

const shownLevels = [0.1, 0.5, 0.9, 0.95];

/** How many values came at or below each quantile, by how far ahead; a bar that ends at its mark is honest. */
export function coveragePlot({ accuracy, name }: BacktestResult): Markup | undefined {
  if (accuracy === undefined) return undefined;
  const frame: Frame = { width: 548, height: 330, left: 52, right: 12, top: 30, bottom: 38 };
  const y = linear(0, 1, frame.height - frame.bottom, frame.top);
  const groups = accuracy.horizons;
  const groupWidth = (frame.width - frame.left - frame.right) / groups.length;
  const barWidth = Math.min(24, (groupWidth * 0.72) / shownLevels.length);
  const bars = groups.flatMap(({ coverage, ...bucket }, g) => {
    const from = frame.left + g * groupWidth + (groupWidth - barWidth * shownLevels.length) / 2;
    return shownLevels.map((level, k) => {
      const observed = coverage.find((each) => each.level === level)?.observed ?? 0;
      const left = from + k * barWidth;
      return markup`<g><title>${horizonText(bucket)}: ${percent(observed)} at or below the ${level} quantile</title><rect class="bar q${k}" x="${place(left + 1)}" y="${place(y(observed))}" width="${place(barWidth - 2)}" height="${place(y(0) - y(observed))}" rx="2"/><line class="nominal" x1="${place(left - 1)}" x2="${place(left + barWidth + 1)}" y1="${place(y(level))}" y2="${place(y(level))}"/></g>`;
    });
  });
  return picture(frame, `Coverage of the forecast of ${name} by horizon`, [
    axes(
      frame,
      groups.map((bucket, g) => ({ at: frame.left + (g + 0.5) * groupWidth, label: horizonText(bucket) })),
      [0, 0.25, 0.5, 0.75, 1].map((value) => ({ at: y(value), label: percentTick(value) })),
      "",
      "share of values at or below the quantile",
    ),
    ...bars,
  ]);
}

export function coverageLegend(): Markup {
  return legend([
    ...shownLevels.map((level, k): [string, string] => [`q${k}`, `${level} quantile`]),
    ["nominal", "where it should end"],
  ]);
}

function picture({ width, height }: Frame, title: string, parts: readonly Markup[]): Markup {
  return markup`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">${parts}</svg>`;
}

function legend(entries: readonly (readonly [string, string])[]): Markup {
  return markup`<p class="legend">${entries.map(([style, text]) => markup`<span><i class="key ${style}"></i>${text}</span>`)}</p>`;
}

/** Ticks that keep a distance: the first ones stay. */
function thinned<T extends { readonly at: number }>(ticks: readonly T[], apart: number): T[] {
  const kept: T[] = [];
  for (const tick of ticks) if (kept.every(({ at }) => Math.abs(at - tick.at) >= apart)) kept.push(tick);
  return kept;
}

function percentTick(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

/** Hours or days at round distances, at most a dozen, in UTC. */
export function timeTicks(startMs: number, endMs: number): { timeMs: number; label: string }[] {
  const everyHours = [1, 3, 6, 12, 24, 48, 168].find((hours) => (endMs - startMs) / (hours * hourMs) <= 13) ?? 336;
  const ticks: { timeMs: number; label: string }[] = [];
  for (
    let timeMs = Math.ceil(startMs / (everyHours * hourMs)) * everyHours * hourMs;
    timeMs <= endMs;
    timeMs += everyHours * hourMs
  ) {
    const date = new Date(timeMs);
    const isMidnight = timeMs % (24 * hourMs) === 0;
    const day = date.toLocaleDateString("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
    ticks.push({ timeMs, label: isMidnight ? day : date.toISOString().slice(11, 16) });
  }
  return ticks;
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, value || 0), 0);
}
