import { detectPeriods } from "../../src/forecast/periods/robust-period.ts";
import { drawsOf } from "./loads/made-loads.ts";

/** A series whose periods are known, after section 5.1 of the RobustPeriod paper. */
interface Case {
  readonly values: Float64Array;
  readonly periods: readonly number[];
  readonly group: string;
}

const length = 1000;
const shapes = ["sine", "square", "triangle"] as const;
const scatters = [
  { name: "mild", variance: 0.1, outliers: 0.01 },
  { name: "middling", variance: 1, outliers: 0.1 },
  { name: "severe", variance: 2, outliers: 0.2 },
] as const;
const missingShares = [0, 0.1, 0.2];
/** A period is found within this share of it. */
const tolerance = 0.02;

/** 162 series: one to three periods, three shapes, three scatters, up to a fifth missing, each with round and with random periods. */
function makeCases(): Case[] {
  const cases: Case[] = [];
  for (const count of [1, 2, 3])
    for (const shape of shapes)
      for (const scatter of scatters)
        for (const missing of missingShares)
          for (const isRound of [true, false]) {
            const draws = drawsOf(5000 + cases.length);
            const whole = (from: number, to: number) => from + Math.floor((to - from + 1) * draws.uniform());
            const drawn = isRound ? [20, 50, 100] : [whole(12, 30), whole(36, 70), whole(80, 160)];
            const periods = drawn.slice(3 - count);
            const values = new Float64Array(length);
            for (const period of periods) {
              const shift = draws.uniform();
              for (let i = 0; i < length; i++) values[i] += waveAt(shape, (i / period + shift) % 1);
            }
            addTrend(values, draws);
            for (let i = 0; i < length; i++) {
              values[i] += Math.sqrt(scatter.variance) * draws.normal();
              if (draws.uniform() < scatter.outliers)
                values[i] += (draws.uniform() < 0.5 ? -1 : 1) * (3 + 7 * draws.uniform());
            }
            removeSome(values, missing, draws);
            cases.push({ values, periods, group: scatter.name });
          }
  return cases;
}

function waveAt(shape: (typeof shapes)[number], turn: number): number {
  if (shape === "sine") return Math.sin(2 * Math.PI * turn);
  return shape === "square" ? (turn < 0.5 ? 1 : -1) : 4 * Math.abs(turn - 0.5) - 1;
}

/** A triangle of height 10, two shifts of the level, or nothing. */
function addTrend(values: Float64Array, { uniform, normal }: ReturnType<typeof drawsOf>): void {
  const kind = Math.floor(3 * uniform());
  if (kind === 0) for (let i = 0; i < length; i++) values[i] += 10 * (1 - Math.abs((2 * i) / length - 1));
  if (kind !== 1) return;
  for (let k = 0; k < 2; k++) {
    const [from, size] = [100 + Math.floor(800 * uniform()), 4 * normal()];
    for (let i = from; i < length; i++) values[i] += size;
  }
}

/** Half of the share value by value, half in two gaps. */
function removeSome(values: Float64Array, share: number, { uniform }: ReturnType<typeof drawsOf>): void {
  if (share === 0) return;
  for (let i = 0; i < length; i++) if (uniform() < share / 2) values[i] = Number.NaN;
  const gap = Math.floor((length * share) / 4);
  for (let k = 0; k < 2; k++) {
    const from = Math.floor((length - gap) * uniform());
    values.fill(Number.NaN, from, from + gap);
  }
}

interface Tally {
  found: number;
  wrong: number;
  missed: number;
}

function compare({ values, periods }: Case, tally: Tally): void {
  const left = new Set(periods);
  for (const period of detected(values)) {
    const near = periods.filter((each) => Math.abs(period - each) <= tolerance * each + 1e-9);
    const hit = near.find((each) => left.has(each));
    if (hit !== undefined) {
      left.delete(hit);
      tally.found++;
    } else if (near.length === 0) tally.wrong++;
  }
  tally.missed += left.size;
}

function detected(values: Float64Array): number[] {
  return [...new Set(detectPeriods(values, {}).map(({ period }) => Math.round(period)))].filter((period) => period > 1);
}

function scores({ found, wrong, missed }: Tally): readonly [number, number, number] {
  const [precision, recall] = [found / Math.max(1, found + wrong), found / Math.max(1, found + missed)];
  return [precision, recall, (2 * precision * recall) / Math.max(1e-9, precision + recall)];
}

/** How many of a hundred series without a period are said to have one. */
function falseAlarms(isWalk: boolean, show: (text: string) => void): number {
  let alarms = 0;
  for (let k = 0; k < 100; k++) {
    const { normal } = drawsOf(9000 + k);
    let sum = 0;
    const values = Float64Array.from({ length: 2016 }, () => {
      const value = normal();
      sum += value;
      return 10 + (isWalk ? sum : value);
    });
    if (detected(values).length > 0) alarms++;
    show(`${isWalk ? "random walks" : "white noise"}, ${k + 1} of 100`);
  }
  return alarms;
}

export default {
  name: "Periods, within 2 %",
  async run(show: (text: string) => void): Promise<void> {
    const tallies = new Map<string, Tally>(
      ["all", ...scatters.map(({ name }) => name)].map((name) => [name, { found: 0, wrong: 0, missed: 0 }]),
    );
    const cases = makeCases();
    for (const [k, each] of cases.entries()) {
      for (const group of ["all", each.group]) compare(each, tallies.get(group)!);
      show(`case ${k + 1} of ${cases.length}`);
    }
    const lines = ["| synthetic series of 1,000 points | precision | recall | F1 |", "|---|---:|---:|---:|"];
    for (const [name, tally] of tallies)
      lines.push(
        `| ${name === "all" ? `**all ${cases.length}**` : `${name} noise and outliers`} | ${scores(tally)
          .map((score) => score.toFixed(2))
          .join(" | ")} |`,
      );
    lines.push("", "| 2,016 points without a period | of 100 said to have one |", "|---|---:|");
    for (const isWalk of [false, true])
      lines.push(`| ${isWalk ? "random walks" : "white noise"} | ${falseAlarms(isWalk, show)} |`);
    process.stdout.write(`${lines.join("\n")}\n`);
  },
};
